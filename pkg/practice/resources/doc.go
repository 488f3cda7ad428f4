// Package resources holds the practices of the guide's chapter on resource
// management.
package resources
