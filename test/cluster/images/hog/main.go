// Command hog takes 16 MiB more every 50 ms until its memory limit kills it.
// Without a limit it stops at 256 MiB and keeps them, for the machine's sake.
package main

import (
	"fmt"
	"time"
)

const (
	chunk = 16 << 20 // bytes
	most  = 16       // chunks
)

func main() {
	var held [][]byte
	for len(held) < most {
		block := make([]byte, chunk)
		for i := 0; i < len(block); i += 4096 {
			block[i] = 1 // memory counts only when it is written
		}
		held = append(held, block)
		fmt.Printf("hog: holding %d MiB\n", len(held)*chunk>>20)
		time.Sleep(50 * time.Millisecond)
	}
	for range time.Tick(time.Hour) {
		fmt.Println("hog: still holding", len(held), "chunks")
	}
}
