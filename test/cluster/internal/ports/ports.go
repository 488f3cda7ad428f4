// Package ports finds TCP ports that nothing listens on.
package ports

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports are taken below the range that Linux gives to outgoing connections
// (32768 and up) and below the NodePort range (30000 and up), so that a stopped
// component finds its port still free when it is started again.
const (
	lowest  = 20000
	highest = 29999
)

// Free returns n different TCP ports on which no process listens on any
// address. It fails when the range 20000-29999 holds fewer than n free ones.
func Free(n int) ([]int, error) {
	found := make([]int, 0, n)
	for _, offset := range rand.Perm(highest - lowest + 1) {
		if len(found) == n {
			break
		}
		if port := lowest + offset; isFree(port) {
			found = append(found, port)
		}
	}
	if len(found) < n {
		return nil, fmt.Errorf("only %d of %d TCP ports are free between %d and %d", len(found), n, lowest, highest)
	}
	return found, nil
}

// isFree binds the wildcard address, because a listener on loopback alone and a
// listener on every address block each other.
func isFree(port int) bool {
	listener, err := net.Listen("tcp", net.JoinHostPort("", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return listener.Close() == nil
}
