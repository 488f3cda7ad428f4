package expression

import "testing"

// FuzzRules gives the compiler any expression: it compiles, or says why not, and
// what compiles is judged, or says why not.
func FuzzRules(f *testing.F) {
	for _, seed := range []string{
		`podSpec.containers.all(c, c.image.startsWith("registry.example.com/"))`, `object.metadata.name == "a"`,
		`"a".matches("(a*)*$")`, `[1][9]`, `object.?spec.?x.orValue(0) / 0`, `sets.contains([1],[1])`, `((((`, "\xff", `has(object.a) ? 1 : "b"`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		diagnosis, err := judgeShop(t, Rule{Kinds: []string{Workloads}, Expression: text})
		if err == nil && diagnosis == nil {
			t.Error("neither a diagnosis nor an error")
		}
	})
}
