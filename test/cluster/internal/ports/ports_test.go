package ports

import (
	"net"
	"strconv"
	"testing"
)

func TestFreeReturnsDifferentPortsThatCanBeListenedOn(t *testing.T) {
	found, err := Free(20)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, port := range found {
		if seen[port] {
			t.Errorf("port %d was returned twice", port)
		}
		seen[port] = true
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			t.Errorf("port %d is not free: %v", port, err)
			continue
		}
		listener.Close()
	}
}

func TestAPortInUseIsNotFree(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if port := listener.Addr().(*net.TCPAddr).Port; isFree(port) {
		t.Errorf("port %d is listened on, yet counts as free", port)
	}
}

func TestFreeFailsWhenTheRangeIsTooSmall(t *testing.T) {
	if _, err := Free(highest - lowest + 2); err == nil {
		t.Error("asking for more ports than the range holds should fail")
	}
}
