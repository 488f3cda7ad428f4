// Package security holds the practices of the guide's chapter
// on security, defense in depth.
package security
