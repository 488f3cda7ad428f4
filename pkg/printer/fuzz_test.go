package printer

import (
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"sigs.k8s.io/yaml"
)

// FuzzReports puts any text wherever a cluster's text may stand: every format
// stays what its readers parse, and holds nothing that steers a terminal or
// hides text. YAML reads as what JSON does.
func FuzzReports(f *testing.F) {
	for _, text := range hostile() {
		f.Add(text)
	}
	// What YAML's marks could be taken for, and what stands at the edges of classes.
	for _, text := range []string{`a\uFFFE`, "a\ufffe", `a\uFFFE` + "\u202e", `\\u202e`, "\u202e\ufffe\u200b", "\u00a0 \u00ad\u0085", "\u2028\u2029\ufeff", "\ue000\U000e0001\U0001f600", "a: \u200b", strings.Repeat("word \u202e", 60)} {
		f.Add(text)
	}
	formats := map[string]func(string) error{
		"":           func(string) error { return nil },
		"wide":       func(string) error { return nil },
		"html":       func(string) error { return nil },
		"markdown":   func(string) error { return nil },
		"json":       func(out string) error { return json.Unmarshal([]byte(out), new(any)) },
		"sarif":      func(out string) error { return json.Unmarshal([]byte(out), new(any)) },
		"junit":      wellFormed,
		"yaml":       func(out string) error { return yaml.Unmarshal([]byte(out), new(any)) },
		"kyaml":      func(out string) error { return yaml.Unmarshal([]byte(out), new(any)) },
		"csv":        func(out string) error { _, err := csv.NewReader(strings.NewReader(out)).ReadAll(); return err },
		"prometheus": metrics,
	}
	f.Fuzz(func(t *testing.T, text string) {
		for format, parse := range formats {
			out := printed(t, format, hostileDiagnosis(text))
			if err := parse(out); err != nil {
				t.Errorf("%s of %q: %v", format, text, err)
			}
			if !utf8.ValidString(out) {
				t.Errorf("%s of %q is not UTF-8", format, text)
			}
			if strings.ContainsAny(out, "\x1b\x00\x07\x08\x7f\u009b\u202e\u2066\u200b") {
				t.Errorf("%s of %q steers who reads it", format, text)
			}
		}
		var fromJSON, fromYAML any
		if err := json.Unmarshal([]byte(printed(t, "json", hostileDiagnosis(text))), &fromJSON); err != nil {
			t.Error(err)
		}
		out := printed(t, "yaml", hostileDiagnosis(text))
		if err := yaml.Unmarshal([]byte(out), &fromYAML); err != nil || !reflect.DeepEqual(fromJSON, fromYAML) {
			t.Errorf("YAML of %q reads otherwise than JSON (%v):\n%s", text, err, out)
		}
		if hidden := strings.IndexFunc(out, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); hidden >= 0 {
			t.Errorf("YAML of %q hides %q", text, out[hidden:min(len(out), hidden+8)])
		}
	})
}

func wellFormed(out string) error {
	for decoder := xml.NewDecoder(strings.NewReader(out)); ; {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func metrics(out string) error {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	_, err := parser.TextToMetricFamilies(strings.NewReader(out))
	return err
}
