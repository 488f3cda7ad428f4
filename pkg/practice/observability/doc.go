// Package observability holds the practices of the guide's chapter
// on monitoring and observability.
package observability
