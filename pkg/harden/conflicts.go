package harden

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
)

// conflicts asks a server-side apply that forces nothing who else writes the
// fields that are set, and managedFields who writes those that are removed.
// What a person's tool wrote is told; what a controller or anything unknown
// wrote is refused.
func (r *Run) conflicts(ctx context.Context, d *draft, t *trial) error {
	managers := map[string][]string{} // the fields of each
	removes := false
	for _, edit := range d.own.Edits {
		if edit.Value != nil {
			continue
		}
		removes = true
		for _, manager := range managersOf(d.before, edit.Path) {
			managers[manager] = append(managers[manager], change.Pathname(edit.Path))
		}
	}
	apply := d.own.ApplyConfiguration()
	apply.SetUID(d.before.GetUID())
	if err := r.API.TryApply(ctx, apply); apierrors.IsConflict(err) {
		for manager, fields := range conflictsIn(err) {
			managers[manager] = append(managers[manager], fields...)
		}
	} else if err != nil && !removes {
		t.notes = append(t.notes, "who else writes its fields could not be tried: "+oneLine(err.Error()))
	}
	for _, manager := range sortedKeys(managers) {
		fields := strings.Join(managers[manager], ", ")
		switch writerOf(manager) {
		case person:
			t.notes = append(t.notes, fmt.Sprintf("%s was last set by %s: %s", fields, manager, setBack(manager)))
		case ourselves:
		case controller:
			t.git = true
			return refuse("%s is set by the controller %s, which would set it back", fields, manager)
		default:
			t.git = true
			return refuse("%s is set by %s, of which nothing is known: it may set it back", fields, manager)
		}
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// conflictsIn are the managers that a server-side apply conflicts with, each
// with its fields.
func conflictsIn(err error) map[string][]string {
	managers := map[string][]string{}
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return managers
	}
	named := regexp.MustCompile(`conflict with "([^"]+)"`)
	for _, cause := range status.Status().Details.Causes {
		if cause.Type != metav1.CauseTypeFieldManagerConflict {
			continue
		}
		manager := cause.Message
		if match := named.FindStringSubmatch(cause.Message); match != nil {
			manager = match[1]
		}
		managers[manager] = append(managers[manager], strings.TrimPrefix(cause.Field, "."))
	}
	return managers
}

// managersOf are the field managers that own a field, or one inside it.
func managersOf(obj *unstructured.Unstructured, path fieldpath.Path) []string {
	var managers []string
	for _, entry := range obj.GetManagedFields() {
		if entry.FieldsV1 == nil {
			continue
		}
		var set fieldpath.Set
		if err := set.FromJSON(strings.NewReader(entry.FieldsV1.GetRawString())); err != nil {
			managers = append(managers, entry.Manager) // it may
			continue
		}
		owns := false
		set.Iterate(func(held fieldpath.Path) {
			owns = owns || len(held) >= len(path) && held[:len(path)].Equals(path)
		})
		if owns && !slices.Contains(managers, entry.Manager) {
			managers = append(managers, entry.Manager)
		}
	}
	return managers
}
