// Package pitfalls holds the practices of the guide's chapter
// on common pitfalls.
package pitfalls
