package take

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

// Received is what came through a stream.
type Received struct {
	Bytes int64
	// SHA256 is of all bytes as they came.
	SHA256 string
}

// errDisk marks what went wrong on this side: trying again would not help.
var errDisk = errors.New("writing the snapshot")

// Stream asks a member for its snapshot and writes it to w as it comes: constant
// memory. progress is told the bytes that came and all there will be. etcd's own
// client drops how much remains, so the plain service is asked.
func Stream(ctx context.Context, connection *grpc.ClientConn, w io.Writer, progress func(done, total int64)) (Received, error) {
	ctx, cancel := context.WithCancel(ctx) // closing a stream does not end it
	defer cancel()
	stream, err := pb.NewMaintenanceClient(connection).Snapshot(ctx, &pb.SnapshotRequest{})
	if err != nil {
		return Received{}, fmt.Errorf("asking etcd for a snapshot: %w", err)
	}
	sum := sha256.New()
	var done int64
	remains := uint64(1)
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Received{}, fmt.Errorf("the stream broke after %d bytes: %w", done, err)
		}
		if _, err := w.Write(part.GetBlob()); err != nil {
			return Received{}, fmt.Errorf("%w: %w", errDisk, err)
		}
		_, _ = sum.Write(part.GetBlob()) // a hash takes all
		done += int64(len(part.GetBlob()))
		remains = part.GetRemainingBytes()
		progress(done, done+int64(remains)) //nolint:gosec // of a database
	}
	// The checksum comes last, after nothing remained; it proves the end too.
	if remains != 0 || done < sha256.Size {
		return Received{}, fmt.Errorf("the stream ended after %d bytes, before the snapshot did", done)
	}
	return Received{Bytes: done, SHA256: hex.EncodeToString(sum.Sum(nil))}, nil
}
