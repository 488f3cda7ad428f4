// Command crash says why and ends with code 3, so that its pod ends up in
// CrashLoopBackOff.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Println("crash: cannot reach the database: giving up")
	os.Exit(3)
}
