package change

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"
)

// patched is an object after a JSON patch, as the API server makes it.
func patched(t *testing.T, obj *unstructured.Unstructured, patch []byte) *unstructured.Unstructured {
	t.Helper()
	decoded, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		t.Fatal(err)
	}
	data, err := decoded.Apply(bytesOf(t, obj))
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, patch, bytesOf(t, obj))
	}
	after := &unstructured.Unstructured{}
	if err := utiljson.Unmarshal(data, &after.Object); err != nil {
		t.Fatal(err)
	}
	return after
}

func bytesOf(t *testing.T, value any) []byte {
	t.Helper()
	if obj, ok := value.(*unstructured.Unstructured); ok {
		value = obj.Object
	}
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestApplyThenUndoIsTheIdentity writes random edits into random objects as
// JSON patches, takes them back by the touches that a journal would hold, and
// wants the very bytes of before.
func TestApplyThenUndoIsTheIdentity(t *testing.T) {
	for seed := range uint64(1000) {
		random := rand.New(rand.NewPCG(seed, 0))
		before := randomObject(random)
		after := before.DeepCopy()
		c := Change{Object: ref(), Edits: randomEdits(random)}
		if err := c.ApplyTo(after); err != nil {
			continue // it names a container that this object lacks
		}
		touches := Diff(before, after)
		forward, err := JSONPatch(before, touches)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		written := patched(t, before, forward)
		if got, want := string(bytesOf(t, written)), string(bytesOf(t, after)); got != want {
			t.Fatalf("seed %d: wrote\n%s\nwant\n%s", seed, got, want)
		}
		back, err := JSONPatch(written, Inverse(kept(t, touches)))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if got, want := string(bytesOf(t, patched(t, written, back))), string(bytesOf(t, before)); got != want {
			t.Fatalf("seed %d: undone\n%s\nwant\n%s\nby %s", seed, got, want, back)
		}
	}
}

// kept are touches as a journal gives them back.
func kept(t *testing.T, touches []Touch) []Touch {
	t.Helper()
	var back []Touch
	if err := json.Unmarshal(bytesOf(t, touches), &back); err != nil {
		t.Fatal(err)
	}
	if !Same(touches, back) {
		t.Fatalf("kept %s as %s", bytesOf(t, touches), bytesOf(t, back))
	}
	return back
}

func randomObject(random *rand.Rand) *unstructured.Unstructured {
	names := []string{"web", "sidecar", "proxy"}
	random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	var containers []any
	for _, name := range names[:1+random.IntN(3)] {
		container := map[string]any{"name": name, "image": "a"}
		for _, field := range []string{"resources", "securityContext", "lifecycle"} {
			if random.IntN(2) == 0 {
				container[field] = randomValue(random, 2)
			}
		}
		if random.IntN(2) == 0 {
			container["ports"] = []any{map[string]any{"containerPort": int64(80)}, map[string]any{"containerPort": int64(81), "hostPort": int64(81)}}
		}
		containers = append(containers, container)
	}
	pod := map[string]any{"containers": containers, "a/b~c": "odd"}
	if random.IntN(2) == 0 {
		pod["volumes"] = []any{map[string]any{"name": "data"}}
	}
	spec := map[string]any{"template": map[string]any{"spec": pod}}
	if random.IntN(2) == 0 {
		spec["replicas"] = int64(random.IntN(5))
	}
	metadata := map[string]any{"name": "web", "namespace": "shop", "uid": "u", "resourceVersion": "7"}
	if random.IntN(2) == 0 {
		metadata["labels"] = map[string]any{"app": "web"}
	}
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}}
}

func randomValue(random *rand.Rand, depth int) any {
	switch n := random.IntN(7); {
	case n == 0 && depth > 0:
		value := map[string]any{}
		for range random.IntN(3) {
			value[fmt.Sprintf("f%d", random.IntN(4))] = randomValue(random, depth-1)
		}
		return value
	case n == 1 && depth > 0:
		value := []any{}
		for range random.IntN(3) {
			value = append(value, randomValue(random, depth-1))
		}
		return value
	case n == 2 && depth > 0:
		return []any{map[string]any{"name": "x", "value": randomValue(random, depth-1)}, map[string]any{"name": "y"}}
	case n == 3:
		return random.IntN(2) == 0
	case n == 4:
		return int64(random.IntN(100))
	case n == 5:
		return ""
	default:
		return fmt.Sprintf("v%d", random.IntN(4))
	}
}

func randomEdits(random *rand.Rand) []Edit {
	container := []any{"spec", "template", "spec", "containers", Item("name", "web")}
	paths := [][]any{
		append(container[:5:5], "resources"),
		append(container[:5:5], "resources", "f1"),
		append(container[:5:5], "securityContext", "f2", "f3"),
		append(container[:5:5], "lifecycle"),
		append(container[:5:5], "ports"),
		{"spec", "replicas"},
		{"spec", "template", "spec", "a/b~c"},
		{"spec", "template", "metadata", "annotations", "prod.example/a"},
		{"metadata", "labels", "pod-security.kubernetes.io/enforce"},
		{"spec", "template", "spec", "volumes", Item("name", "tmp"), "emptyDir"},
	}
	var edits []Edit
	for range 1 + random.IntN(4) {
		path := paths[random.IntN(len(paths))]
		if random.IntN(4) == 0 && path[len(path)-1] != "emptyDir" {
			edits = append(edits, Remove(path...))
		} else {
			edits = append(edits, Set(randomValue(random, 2), path...))
		}
	}
	return edits
}

func TestAnUndoLeavesWhatOthersHaveAdded(t *testing.T) {
	before := identified(t)
	after := before.DeepCopy()
	limit := Set("64Mi", "spec", "template", "spec", "containers", Item("name", "web"), "resources", "limits", "memory")
	if err := (Change{Object: ref(), Edits: []Edit{limit}}).ApplyTo(after); err != nil {
		t.Fatal(err)
	}
	touches := Diff(before, after)
	// Somebody puts a container before ours, and sets another field of it.
	others := after.DeepCopy()
	containers, _, _ := unstructured.NestedSlice(others.Object, "spec", "template", "spec", "containers")
	web, _ := containers[1].(map[string]any)
	web["image"] = "b"
	if err := unstructured.SetNestedSlice(others.Object, append([]any{map[string]any{"name": "first"}}, containers...), "spec", "template", "spec", "containers"); err != nil {
		t.Fatal(err)
	}
	patch, err := JSONPatch(others, Inverse(touches))
	if err != nil {
		t.Fatal(err)
	}
	want := others.DeepCopy()
	containers, _, _ = unstructured.NestedSlice(want.Object, "spec", "template", "spec", "containers")
	unstructured.RemoveNestedField(containers[2].(map[string]any), "resources", "limits", "memory") //nolint:forcetypeassert // a test
	_ = unstructured.SetNestedSlice(want.Object, containers, "spec", "template", "spec", "containers")
	same(t, "undone", patched(t, others, patch), want)
}

func TestAFieldThatSomebodyChangedIsNotWritten(t *testing.T) {
	before := identified(t)
	after := before.DeepCopy()
	if err := (Change{Object: ref(), Edits: []Edit{Set(int64(3), "spec", "replicas")}}).ApplyTo(after); err != nil {
		t.Fatal(err)
	}
	now := before.DeepCopy()
	_ = unstructured.SetNestedField(now.Object, int64(7), "spec", "replicas")
	_, err := JSONPatch(now, Diff(before, after))
	var changed *ChangedError
	if !errors.As(err, &changed) || changed.Now != int64(7) || err.Error() != "spec.replicas has been changed meanwhile" {
		t.Errorf("got %v", err)
	}
}

// identified is the object web as an API server keeps it.
func identified(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	obj := object(t, web)
	obj.SetUID("u")
	obj.SetResourceVersion("7")
	return obj
}

func TestAPatchTestsWhatItWritesOver(t *testing.T) {
	before := identified(t)
	after := before.DeepCopy()
	c := Change{Object: ref(), Edits: []Edit{
		Remove("spec", "replicas"),
		Set("2", "spec", "template", "spec", "containers", Item("name", "web"), "resources", "limits", "cpu"),
	}}
	if err := c.ApplyTo(after); err != nil {
		t.Fatal(err)
	}
	patch, err := JSONPatch(before, Diff(before, after))
	if err != nil {
		t.Fatal(err)
	}
	const want = `[{"op":"test","path":"/metadata/uid","value":"u"},{"op":"test","path":"/metadata/resourceVersion","value":"7"},` +
		`{"op":"test","path":"/spec/replicas","value":1},{"op":"remove","path":"/spec/replicas"},` +
		`{"op":"test","path":"/spec/template/spec/containers/1/resources/limits/cpu","value":"1"},` +
		`{"op":"replace","path":"/spec/template/spec/containers/1/resources/limits/cpu","value":"2"}]`
	if string(patch) != want {
		t.Errorf("got  %s\nwant %s", patch, want)
	}
}

func TestATextIsReadBackAsTheSameChange(t *testing.T) {
	c := Change{Object: ref(), Edits: []Edit{
		Set("64Mi", "spec", "template", "spec", "containers", Item("name", "web"), "resources", "limits", "memory"),
		Set([]any{"ALL"}, "spec", "template", "spec", "containers", Item("name", "web"), "securityContext", "capabilities", "drop"),
		Set(int64(2), "spec", "replicas"),
		Remove("spec", "template", "spec", "hostNetwork"),
	}}
	back, err := Parse(c, []byte(Text(c)))
	if err != nil {
		t.Fatal(err)
	}
	one, other := object(t, web), object(t, web)
	if err := errors.Join(c.ApplyTo(one), back.ApplyTo(other)); err != nil {
		t.Fatal(err)
	}
	same(t, "by the text", other, one)

	for text, want := range map[string]string{
		"kind: Secret":              `it is secret/ in namespace "", and has to stay deployment.apps/web in "shop"`,
		"a: [":                      "it is no YAML",
		Text(Change{Object: ref()}): "it changes nothing",
	} {
		if _, err := Parse(c, []byte(text)); err == nil || len(err.Error()) < len(want) || err.Error()[:len(want)] != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}
