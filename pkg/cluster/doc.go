// Package cluster reads a cluster once and keeps what was read.
//
// A [Snapshot] holds typed objects and the indexes built over them; it comes
// from a live API server ([Live]) or from manifests ([Manifests]), and says of
// every kind whether it was read, forbidden, absent or failed ([Coverage]).
// Everything that judges a cluster is a pure function of a Snapshot.
package cluster
