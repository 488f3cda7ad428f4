package recovery

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// scheduleLabel names on a Velero Backup the Schedule that made it.
const scheduleLabel = "velero.io/schedule-name"

// hasVelero reports whether Velero is set up: its kinds may be served by
// definitions that an uninstalled Velero left.
func hasVelero(s *cluster.Snapshot) bool {
	return len(s.System(cluster.VeleroLocations))+len(s.System(cluster.VeleroSchedules))+len(s.System(cluster.VeleroBackups)) > 0
}

// activeSchedules are Velero's that are not paused.
func activeSchedules(s *cluster.Snapshot) []*unstructured.Unstructured {
	var active []*unstructured.Unstructured
	for _, schedule := range s.System(cluster.VeleroSchedules) {
		if paused, _, _ := unstructured.NestedBool(schedule.Object, "spec", "paused"); !paused {
			active = append(active, schedule)
		}
	}
	return active
}

// covers reports whether a schedule takes in a namespace.
func covers(schedule *unstructured.Unstructured, namespace string) bool {
	included, _, _ := unstructured.NestedStringSlice(schedule.Object, "spec", "template", "includedNamespaces")
	excluded, _, _ := unstructured.NestedStringSlice(schedule.Object, "spec", "template", "excludedNamespaces")
	matches := func(name string) bool { return name == "*" || name == namespace }
	return (len(included) == 0 || slices.ContainsFunc(included, matches)) && !slices.ContainsFunc(excluded, matches)
}

// coveringSchedule is an active schedule that takes in a namespace.
func coveringSchedule(schedules []*unstructured.Unstructured, namespace string) *unstructured.Unstructured {
	for _, schedule := range schedules {
		if covers(schedule, namespace) {
			return schedule
		}
	}
	return nil
}

// period is about how often a schedule is due, from the finest field of its
// cron expression that is left open; an estimate, on the long side.
func period(schedule *unstructured.Unstructured) time.Duration {
	const day = 24 * time.Hour
	expression := text(schedule, "spec", "schedule")
	if every, found := strings.CutPrefix(expression, "@every "); found {
		if d, err := time.ParseDuration(every); err == nil {
			return d
		}
	}
	fields := strings.Fields(strings.TrimPrefix(expression, "CRON_TZ="))
	switch {
	case strings.HasPrefix(expression, "@hourly"):
		return time.Hour
	case strings.HasPrefix(expression, "@weekly"):
		return 7 * day
	case strings.HasPrefix(expression, "@monthly"), len(fields) >= 5 && fields[len(fields)-3] != "*":
		return 31 * day
	case len(fields) >= 5 && fields[len(fields)-1] != "*":
		return 7 * day
	default:
		return day
	}
}

// newestOf is the newest backup of a schedule of which want is true.
func newestOf(s *cluster.Snapshot, schedule string, want func(phase string) bool) *unstructured.Unstructured {
	var newest *unstructured.Unstructured
	for _, backup := range s.System(cluster.VeleroBackups) {
		if backup.GetLabels()[scheduleLabel] == schedule && want(text(backup, "status", "phase")) && (newest == nil || took(backup).After(took(newest))) {
			newest = backup
		}
	}
	return newest
}

// took is when a backup was taken.
func took(backup *unstructured.Unstructured) time.Time {
	if at, err := time.Parse(time.RFC3339, text(backup, "status", "startTimestamp")); err == nil {
		return at
	}
	return backup.GetCreationTimestamp().Time
}

// text is a string within a custom object; "" when it is not there.
func text(object *unstructured.Unstructured, path ...string) string {
	value, _, _ := unstructured.NestedString(object.Object, path...)
	return strings.Join(strings.Fields(value), " ")
}

// because is a reason behind a colon, if there is one.
func because(reason string) string {
	if reason == "" {
		return ""
	}
	return fmt.Sprintf(": %s", reason)
}
