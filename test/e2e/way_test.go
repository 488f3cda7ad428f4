//go:build e2e

package e2e

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// way is a line to a server that a test can watch, slow down and break: each
// direction's bytes are told as they pass.
type way struct {
	address              string
	onUpload, onDownload func(bytes int64)

	up, down atomic.Int64
	mu       sync.Mutex
	lines    map[net.Conn]bool
}

func newWay(t *testing.T, to string) *way {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &way{address: listener.Addr().String(), lines: map[net.Conn]bool{}}
	t.Cleanup(func() { _ = listener.Close(); w.cut() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go w.carry(client, to)
		}
	}()
	return w
}

// cut breaks all that passes now.
func (w *way) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for line := range w.lines {
		_ = line.Close()
	}
}

func (w *way) carry(client net.Conn, to string) {
	server, err := net.Dial("tcp", to)
	if err != nil {
		_ = client.Close()
		return
	}
	w.mu.Lock()
	w.lines[client], w.lines[server] = true, true
	w.mu.Unlock()
	go pass(server, client, &w.down, &w.onDownload)
	pass(client, server, &w.up, &w.onUpload)
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.lines, client)
	delete(w.lines, server)
}

// pass carries one direction to its end, and ends both.
func pass(from, to net.Conn, bytes *atomic.Int64, tell *func(int64)) {
	defer func() { _, _ = from.Close(), to.Close() }()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			all := bytes.Add(int64(n))
			if *tell != nil {
				(*tell)(all)
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
