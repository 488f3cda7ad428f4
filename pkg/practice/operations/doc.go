// Package operations holds the practices of the guide's chapter
// on operational excellence.
package operations
