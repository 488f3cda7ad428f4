// Package drain tells what a drain would do before anyone does it: which pods
// the eviction API lets go and which not ([Check]), where the scheduler puts
// their replacements, what breaks, how long it takes, and in which order a
// fleet can be drained. It reads a [cluster.Snapshot] and changes nothing.
//
// A drain is simulated as kubectl runs it: every node is cordoned first, then
// one node after the other is emptied; on each, all pods are tried at once and
// those that a budget holds back are tried again until it lets them go.
package drain
