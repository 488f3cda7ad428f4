package cluster

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Edit is that a person wrote fields of an object that something deploys from
// Git, and that nothing has written over them since. The API server's
// managedFields tell it.
type Edit struct {
	// By is the field manager, "kubectl-edit".
	By   string
	Time time.Time
	// Fields are the paths that By alone owns, sorted.
	Fields []string
}

// edits gathers the Edits of a read, before trim drops their traces.
type edits struct {
	mu    sync.Mutex
	found map[Ref][]Edit
}

// Edits are what people wrote into an object that is deployed from Git.
func (s *Snapshot) Edits(ref Ref) []Edit { return s.edits.found[ref] }

// Edited are the objects with Edits, sorted by name.
func (s *Snapshot) Edited() []Ref {
	return slices.SortedFunc(maps.Keys(s.edits.found), func(a, b Ref) int {
		return strings.Compare(a.Namespace+"/"+a.String(), b.Namespace+"/"+b.String())
	})
}

// note gathers the edits of one object.
func (e *edits) note(ref Ref, obj metav1.Object) {
	if !fromGit(obj) || metav1.GetControllerOfNoCopy(obj) != nil {
		return
	}
	found := editsOf(obj)
	if len(found) == 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.found == nil {
		e.found = map[Ref][]Edit{}
	}
	e.found[ref] = found
}

// isWritten reports whether people write objects of a kind, of which edits are
// gathered.
func (k Kind) isWritten() bool {
	return slices.Contains(WrittenKinds(), k)
}

// WrittenKinds are the kinds of which edits are gathered.
func WrittenKinds() []Kind {
	return []Kind{Deployments, StatefulSets, DaemonSets, CronJobs, Services, Ingresses, ConfigMaps, ConfigMapData, NetworkPolicies, Autoscalers, Budgets, Roles, RoleBindings}
}

// fromGit reports whether an object may bear a mark of Argo CD or Flux; which
// of them it is, the practice tells.
func fromGit(obj metav1.Object) bool {
	if obj.GetAnnotations()["argocd.argoproj.io/tracking-id"] != "" {
		return true
	}
	for _, label := range []string{"argocd.argoproj.io/instance", "app.kubernetes.io/instance", "kustomize.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/name"} {
		if obj.GetLabels()[label] != "" {
			return true
		}
	}
	return false
}

// editsOf are the fields that people's tools own alone, one Edit a manager.
// What was written in the second of the object's creation is part of making it.
func editsOf(obj metav1.Object) []Edit {
	var found []Edit
	for i, entry := range obj.GetManagedFields() {
		if !byHand(entry) || entry.Time == nil || !entry.Time.After(obj.GetCreationTimestamp().Time) {
			continue
		}
		own := leavesOf(entry)
		for j, other := range obj.GetManagedFields() {
			if i != j && !byHand(other) {
				for path := range leavesOf(other) {
					delete(own, path)
				}
			}
		}
		if fields := slices.Sorted(maps.Keys(own)); len(fields) > 0 {
			found = append(found, Edit{By: entry.Manager, Time: entry.Time.Time, Fields: fields})
		}
	}
	return found
}

// byHand reports whether an entry is of a tool that a person holds: kubectl,
// whose commands each have a name of their own, and the consoles that are known
// by the name they give the API server. Writes to status and scale are not told.
func byHand(entry metav1.ManagedFieldsEntry) bool {
	consoles := []string{"k9s", "Lens", "OpenLens", "node-fetch", "freelens", "headlamp", "dashboard", "Mozilla", "rancher", "octant", "oc", "GoogleCloudConsole"}
	return entry.Subresource == "" && (entry.Manager == "kubectl" || strings.HasPrefix(entry.Manager, "kubectl-") || slices.Contains(consoles, entry.Manager))
}

// leavesOf are the paths of an entry's fields that say what an object is to do:
// spec, data and the like. A rollout that somebody restarted is no change.
func leavesOf(entry metav1.ManagedFieldsEntry) map[string]bool {
	leaves := map[string]bool{}
	if entry.FieldsV1 == nil {
		return leaves
	}
	var fields map[string]any
	if json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields) != nil {
		return leaves
	}
	for _, meta := range []string{"f:metadata", "f:status"} {
		delete(fields, meta)
	}
	walk(fields, "", leaves)
	return leaves
}

// walk notes the leaves of a FieldsV1: "f:name" is a field, "k:{…}" an item of
// a list by its keys, "v:…" an item of a set, and "." the thing itself
// (https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management).
func walk(fields map[string]any, path string, leaves map[string]bool) {
	for key, below := range fields {
		var name string
		switch kind, rest, _ := strings.Cut(key, ":"); kind {
		case "f":
			name = strings.TrimPrefix(path+"."+rest, ".")
		case "k":
			name = path + "[" + itemName(rest) + "]"
		case "v":
			name = path + "[" + rest + "]"
		default:
			continue
		}
		if inner, _ := below.(map[string]any); len(inner) > 0 {
			walk(inner, name, leaves)
		} else if !strings.HasSuffix(name, "kubectl.kubernetes.io/restartedAt") {
			leaves[name] = true
		}
	}
}

// itemName is an item's name, or else its keys as they are.
func itemName(keys string) string {
	var item map[string]any
	if json.Unmarshal([]byte(keys), &item) == nil && item["name"] != nil {
		return fmt.Sprint(item["name"])
	}
	return keys
}
