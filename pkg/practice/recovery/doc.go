// Package recovery holds the practices of the guide's chapter
// on backup and disaster recovery.
package recovery
