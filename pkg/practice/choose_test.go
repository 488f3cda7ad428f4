package practice

import (
	"slices"
	"strings"
	"testing"
)

func TestOptionalPracticesAreJudgedOnlyWhenNamedByTheirID(t *testing.T) {
	all := []Practice{
		{ID: "usual", Chapter: Resources},
		{ID: "optional", Chapter: Resources, Optional: true},
		{ID: "another", Chapter: Security, Optional: true},
	}
	for name, test := range map[string]struct {
		check, skip []string
		want        []string
		wrong       string
	}{
		"not by default":              {want: []string{"usual"}},
		"not by their chapter":        {check: []string{"resources"}, want: []string{"usual"}},
		"by their ID":                 {check: []string{"optional"}, want: []string{"optional"}},
		"by their ID and a chapter":   {check: []string{"resources", "optional"}, want: []string{"usual", "optional"}},
		"not when skipped":            {check: []string{"usual", "optional"}, skip: []string{"optional"}, want: []string{"usual"}},
		"a chapter of them alone":     {check: []string{"security"}, wrong: "no practice is left to judge"},
		"an unknown name to check":    {check: []string{"option"}, wrong: `no practice or chapter "option"`},
		"an unknown name to skip":     {skip: []string{"usually"}, wrong: `no practice or chapter "usually"`},
		"everything there is to skip": {skip: []string{"resources"}, wrong: "no practice is left to judge"},
	} {
		t.Run(name, func(t *testing.T) {
			chosen, err := Choose(all, test.check, test.skip)
			var got []string
			for _, p := range chosen {
				got = append(got, p.ID)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("chose %v, want %v", got, test.want)
			}
			if (err != nil) != (test.wrong != "") || (err != nil && !strings.Contains(err.Error(), test.wrong)) {
				t.Errorf("error %v, want %q", err, test.wrong)
			}
		})
	}
}

func TestAListShowsOptionalPracticesToo(t *testing.T) {
	all := []Practice{{ID: "usual", Chapter: Resources}, {ID: "optional", Chapter: Resources, Optional: true}}
	for _, names := range [][]string{nil, {"resources"}} {
		if listed, err := Named(all, names); err != nil || len(listed) != 2 {
			t.Errorf("listed %d by %v, want 2 (%v)", len(listed), names, err)
		}
	}
}
