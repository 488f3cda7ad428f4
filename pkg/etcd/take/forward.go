package take

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
)

// Forward reaches a port of a pod through the API server, as `kubectl
// port-forward` does: over a WebSocket, or SPDY where something in between
// knows none. It opens no port on this machine, which other users could reach.
type Forward struct {
	connection httpstream.Connection
	port       int

	mu       sync.Mutex
	requests int
}

// connectTimeout is how long the way to a pod may take to open.
const connectTimeout = 30 * time.Second

// NewForward connects to a pod. It gives up when ctx ends, or after half a minute.
func NewForward(ctx context.Context, config *rest.Config, client kubernetes.Interface, namespace, pod string, port int) (*Forward, error) {
	config = rest.CopyConfig(config)
	config.Timeout = 0 // a stream has no time limit
	where := client.CoreV1().RESTClient().Post().Resource("pods").Namespace(namespace).Name(pod).SubResource("portforward").URL()
	dialer, err := dialer(config, where)
	if err != nil {
		return nil, err
	}
	connection, err := dial(ctx, dialer)
	if err != nil {
		return nil, fmt.Errorf("port-forward to pod %s/%s: %w", namespace, pod, err)
	}
	return &Forward{connection: connection, port: port}, nil
}

// dial leaves a dialer, which knows no context, to itself when ctx ends first; a
// connection that comes later is closed.
func dial(ctx context.Context, dialer httpstream.Dialer) (httpstream.Connection, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	type dialled struct {
		connection httpstream.Connection
		err        error
	}
	done := make(chan dialled, 1)
	go func() {
		connection, _, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
		done <- dialled{connection, err}
	}()
	select {
	case d := <-done:
		return d.connection, d.err
	case <-ctx.Done():
		go func() {
			if d := <-done; d.err == nil {
				_ = d.connection.Close() // nobody uses it
			}
		}()
		return nil, ctx.Err()
	}
}

func dialer(config *rest.Config, where *url.URL) (httpstream.Dialer, error) {
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return nil, err
	}
	old := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, where)
	tunnel, err := portforward.NewSPDYOverWebsocketDialerForStreaming(where, config)
	if err != nil {
		return nil, err
	}
	return portforward.NewFallbackDialerForStreaming(tunnel, old, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	}), nil
}

// Close ends all connections.
func (f *Forward) Close() error { return f.connection.Close() }

// Dial opens a connection to the port.
func (f *Forward) Dial(context.Context, string) (net.Conn, error) {
	f.mu.Lock()
	f.requests++
	request := strconv.Itoa(f.requests)
	f.mu.Unlock()
	headers := http.Header{}
	headers.Set(corev1.PortHeader, strconv.Itoa(f.port))
	headers.Set(corev1.PortForwardRequestIDHeader, request)
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	failures, err := f.connection.CreateStream(headers)
	if err != nil {
		return nil, fmt.Errorf("port-forward: %w", err)
	}
	_ = failures.Close() // we write nothing to it
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := f.connection.CreateStream(headers)
	if err != nil {
		return nil, fmt.Errorf("port-forward: %w", err)
	}
	c := &conn{Stream: data}
	go func() {
		// The kubelet's words, such as "connection refused" inside the pod, end it.
		if said, err := io.ReadAll(io.LimitReader(failures, 4096)); err == nil && len(said) > 0 {
			c.fail(errors.New("port-forward: " + oneLine(string(said))))
		}
		f.connection.RemoveStreams(failures)
	}()
	go func() {
		<-f.connection.CloseChan()
		c.fail(errors.New("the connection of the port-forward was lost"))
	}()
	return c, nil
}

// conn makes a stream a net.Conn. Deadlines are not kept: gRPC has its own.
type conn struct {
	httpstream.Stream
	mu     sync.Mutex
	failed error
}

func (c *conn) fail(err error) {
	c.mu.Lock()
	if c.failed == nil {
		c.failed = err
	}
	c.mu.Unlock()
	_ = c.Reset() // it is lost already
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Stream.Read(p)
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.failed != nil {
			err = c.failed
		}
	}
	return n, err
}

// Close ends both directions: half a connection keeps the kubelet's half open.
func (c *conn) Close() error { return c.Reset() }

type address struct{}

func (address) Network() string { return "port-forward" }
func (address) String() string  { return "pod" }

func (c *conn) LocalAddr() net.Addr              { return address{} }
func (c *conn) RemoteAddr() net.Addr             { return address{} }
func (c *conn) SetDeadline(time.Time) error      { return nil }
func (c *conn) SetReadDeadline(time.Time) error  { return nil }
func (c *conn) SetWriteDeadline(time.Time) error { return nil }
