package schedule

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the golden files anew")

func nightly() Schedule {
	return Schedule{
		Name: "kubectl-prod-backup-etcd", Namespace: "kube-system", Cron: "17 2 * * *", TimeZone: "Europe/Zurich",
		Image: "example.com/kubectl-prod:v1.0.0", Args: []string{"--to=s3://backups/prod", "--compress", "--keep=14"}, Secret: "store", Scratch: "8Gi",
	}
}

// TestTheObjectsAreWrittenOutInFull holds them to testdata/objects.yaml: whoever
// changes a right sees it there.
func TestTheObjectsAreWrittenOutInFull(t *testing.T) {
	var got bytes.Buffer
	for _, object := range nightly().Objects() {
		text, err := yaml.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		got.WriteString("---\n")
		got.Write(text)
	}
	golden := filepath.Join("testdata", "objects.yaml")
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || got.String() != string(want) {
		t.Errorf("%v\n%s\nwant\n%s", err, got.String(), want)
	}
}

func TestWithoutASecretNoneIsAskedFor(t *testing.T) {
	s := nightly()
	s.Secret, s.TimeZone = "", ""
	for _, object := range s.Objects() {
		if job, is := object.(*batchv1.CronJob); is && (job.Spec.TimeZone != nil || len(job.Spec.JobTemplate.Spec.Template.Spec.Containers[0].EnvFrom) > 0) {
			t.Errorf("%+v", job.Spec)
		}
	}
}

func TestWhatWouldNeverRunIsRefused(t *testing.T) {
	for cron, want := range map[string]string{
		"17 2 * * *": "", "@daily": "", "*/15 0-6 1,15 JAN MON-FRI": "",
		"":             "has 0 fields",
		"17 2 * *":     "has 4 fields",
		"17 2 * * * *": "has 6 fields",
		"17 2 * * ;rm": "is no field",
		"@daily now":   "has 2 fields",
	} {
		s := nightly()
		s.Cron = cron
		if err := s.Validate(); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v", cron, err)
		}
	}
	s := nightly()
	s.Scratch = "much"
	if err := s.Validate(); err == nil || !strings.Contains(err.Error(), `--scratch-size "much"`) {
		t.Error(err)
	}
}
