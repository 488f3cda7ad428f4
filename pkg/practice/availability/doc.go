// Package availability holds the practices of the guide's chapter
// on high availability patterns.
package availability
