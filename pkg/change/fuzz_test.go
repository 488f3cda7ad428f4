package change

import (
	"testing"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// FuzzParse has a person write anything into the editor: what is taken is of the
// same object, can be shown, and reads the same again.
func FuzzParse(f *testing.F) {
	cart := Change{Object: cluster.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "cart"}}
	const head = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: cart, namespace: shop}\n"
	for _, seed := range []string{
		head + "spec: {replicas: 3}\n", head, head + "spec: {replicas: 1e400}\n", head + "spec: &a [*a]\n", head + "spec: [null, {}]\n",
		head + "metadata: {}\n", head + "spec: {template: {spec: {containers: [{name: a, image: b}, {name: a}]}}}\n", "\x00", "- a\n", head + "? [a]\n: b\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		edited, err := Parse(cart, []byte(text))
		if err != nil {
			return
		}
		if edited.Object != cart.Object || len(edited.Edits) == 0 {
			t.Fatalf("%q became %+v", text, edited)
		}
		shown := Text(edited)
		again, err := Parse(cart, []byte(shown))
		if err != nil {
			t.Fatalf("%q is shown as %q, which does not read again: %v", text, shown, err)
		}
		if Text(again) != shown {
			t.Errorf("%q is shown as %q, and then as %q", text, shown, Text(again))
		}
	})
}
