package report

import (
	"slices"
	"testing"
)

// diagnosis has one warning for each name; a name is "practice object".
func diagnosis(unchecked string, names ...[2]string) *Diagnosis {
	d := &Diagnosis{}
	for _, id := range []string{"a", "b"} {
		d.Practices = append(d.Practices, PracticeResult{ID: id, Checked: id != unchecked})
	}
	for i, name := range names {
		d.Findings = append(d.Findings, Finding{
			Practice: name[0], Object: Object{Kind: "Pod", Name: name[1]}, Severity: Warning,
			Message: "for " + string(rune('0'+i)) + " minutes",
		})
	}
	return d
}

func TestCompare(t *testing.T) {
	c := Compare(
		diagnosis("", [2]string{"a", "stays"}, [2]string{"a", "mended"}, [2]string{"b", "unknown"}, [2]string{"a", "twice"}, [2]string{"a", "twice"}),
		diagnosis("b", [2]string{"a", "new"}, [2]string{"a", "stays"}, [2]string{"a", "twice"}),
	)
	for name, test := range map[string]struct {
		got  []Finding
		want []string
	}{
		"new":     {c.New, []string{"new"}},
		"same":    {c.Same, []string{"stays", "twice"}},
		"mended":  {c.Mended, []string{"mended", "twice"}},
		"unknown": {c.Unknown, []string{"unknown"}},
	} {
		var got []string
		for _, f := range test.got {
			got = append(got, f.Object.Name)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s are %v, want %v", name, got, test.want)
		}
	}
}

func TestNothingChangesFromADiagnosisToItself(t *testing.T) {
	d := diagnosis("", [2]string{"a", "x"}, [2]string{"a", "x"}, [2]string{"b", "y"})
	if c := Compare(d, d); len(c.New)+len(c.Mended)+len(c.Unknown) > 0 || len(c.Same) != 3 {
		t.Errorf("%+v", c)
	}
}
