// Command stubborn is an HTTP server on port 8080 (or $PORT) that ignores
// SIGTERM, so that every end of it takes the whole grace period.
package main

import (
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT)
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "still here") })
	server := &http.Server{Addr: ":" + port, Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	fmt.Println("stubborn: listening on", server.Addr)
	fmt.Fprintln(os.Stderr, "stubborn:", server.ListenAndServe())
	os.Exit(1)
}
