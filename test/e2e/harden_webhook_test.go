//go:build e2e

package e2e

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// webhook serves an admission webhook for the namespace, on resources of an API
// group; answer fills the response.
func (v *victim) webhook(t *testing.T, kind, group, resource, operation string, answer func(*admissionv1.AdmissionRequest, *admissionv1.AdmissionResponse)) {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(request.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
		answer(review.Request, review.Response)
		review.Request = nil
		_ = json.NewEncoder(w).Encode(review)
	}))
	t.Cleanup(server.Close)
	url := server.URL
	if answer == nil { // nobody listens there
		server.Close()
	}
	authority, err := json.Marshal(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "webhook.yaml")
	writeFile(t, file, fmt.Sprintf(`
apiVersion: admissionregistration.k8s.io/v1
kind: %sWebhookConfiguration
metadata: {name: %s}
webhooks:
- name: e2e.prod.test
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Fail
  timeoutSeconds: 2
  clientConfig: {url: %s, caBundle: %s}
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %s}}
  rules: [{apiGroups: [%q], apiVersions: [v1], operations: [%s], resources: [%s]}]
`, kind, v.namespace, url, authority, v.namespace, group, operation, resource))
	v.must(t, "apply", "-f", file)
	t.Cleanup(func() { // it would slow the others' requests down
		mustRun(t, []string{"KUBECONFIG=" + v.kubeconfig}, v.lookUp(t, "kubectl"), "delete", "-f", file)
	})
}

// inForce waits until a webhook of the namespace has its say over Deployments.
func (v *victim) inForce(t *testing.T, word string) {
	t.Helper()
	eventually(t, 30*time.Second, func() error {
		r := v.kubectl(t, nil, "annotate", "deployment", "web", "-n", v.namespace, "--overwrite", "probe="+strconv.FormatInt(time.Now().UnixNano(), 10))
		if !strings.Contains(r.stdout+r.stderr, word) {
			return errNotYet(r.stdout + r.stderr)
		}
		return nil
	})
}

func isDry(r *admissionv1.AdmissionRequest) bool { return r.DryRun != nil && *r.DryRun }

func deny(response *admissionv1.AdmissionResponse) {
	response.Allowed = false
	response.Result = &metav1.Status{Message: "frozen until Monday"}
}

func deniedByWebhook(t *testing.T, v *victim) {
	v.webhook(t, "Validating", "apps", "deployments", "UPDATE", func(_ *admissionv1.AdmissionRequest, response *admissionv1.AdmissionResponse) { deny(response) })
	v.inForce(t, "frozen")
	v.comesTo(t, v.kubeconfig, report.Refused, "frozen until Monday")
	v.asBefore(t)
}

func deniedLate(t *testing.T, v *victim) {
	v.webhook(t, "Validating", "apps", "deployments", "UPDATE", func(r *admissionv1.AdmissionRequest, response *admissionv1.AdmissionResponse) {
		if !isDry(r) {
			deny(response)
		}
	})
	v.inForce(t, "frozen")
	v.comesTo(t, v.kubeconfig, report.Refused, "frozen until Monday")
	v.asBefore(t)
	if len(v.journal(t, "not written")) != 1 {
		t.Errorf("the journal does not tell that it was not written:\n%s", v.harden(t, "history").stdout)
	}
}

func unansweredWebhook(t *testing.T, v *victim) {
	v.webhook(t, "Validating", "apps", "deployments", "UPDATE", nil)
	v.inForce(t, "failed calling webhook")
	v.comesTo(t, v.kubeconfig, report.Refused, "failed calling webhook")
	v.asBefore(t)
}

func mutatedBack(t *testing.T, v *victim) {
	patchType := admissionv1.PatchTypeJSONPatch
	v.webhook(t, "Mutating", "apps", "deployments", "UPDATE", func(r *admissionv1.AdmissionRequest, response *admissionv1.AdmissionResponse) {
		if strings.Contains(string(r.Object.Raw), `"automountServiceAccountToken"`) {
			response.PatchType = &patchType
			response.Patch = []byte(`[{"op":"remove","path":"/spec/template/spec/automountServiceAccountToken"}]`)
		}
		response.Warnings = []string{"mind the webhook"}
	})
	v.inForce(t, "mind the webhook")
	v.comesTo(t, v.kubeconfig, report.Refused, "takes the change back")
	v.asBefore(t)
}

func deniedPods(t *testing.T, v *victim) {
	v.webhook(t, "Validating", "", "pods", "CREATE", func(r *admissionv1.AdmissionRequest, response *admissionv1.AdmissionResponse) {
		if !isDry(r) {
			deny(response)
		}
	})
	eventually(t, 30*time.Second, func() error {
		if r := v.kubectl(t, nil, "run", "probe", "-n", v.namespace, "--image=x"); !strings.Contains(r.stderr, "frozen") {
			_ = v.kubectl(t, nil, "delete", "pod", "probe", "-n", v.namespace, "--force", "--grace-period=0")
			return errNotYet(r.stderr)
		}
		return nil
	})
	v.comesTo(t, v.kubeconfig, report.RolledBack, "frozen until Monday")
	v.asBefore(t)
}
