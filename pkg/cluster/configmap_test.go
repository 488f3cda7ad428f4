package cluster

import (
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestConfigMapsWithTheirBodiesAreListedOnceForBothKinds(t *testing.T) {
	server := newFakeServer(t)
	server.faults["/api/v1/configmaps"] = func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.Header.Get("Accept"), "PartialObjectMetadata") {
			t.Errorf("asked for metadata beside the bodies: %s", r.URL)
		}
		writeProtobuf(w, &corev1.ConfigMapList{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMapList"},
			Items: []corev1.ConfigMap{{
				ObjectMeta: metav1.ObjectMeta{Name: "app", Namespace: "shop"},
				Data:       map[string]string{"PASSWORD": "a", "app.properties": "db.password=a", "mode": "fast", "dump": "key" + strings.Repeat("x", maxConfigValue)},
				BinaryData: map[string][]byte{"image": {1}},
			}},
		})
	}
	s, err := server.live().Load(t.Context(), []Kind{ConfigMaps, ConfigMapData})
	if err != nil {
		t.Fatal(err)
	}
	if n := server.asked("/api/v1/configmaps"); n != 1 {
		t.Errorf("config maps were listed %d times, want once", n)
	}
	for _, kind := range []Kind{ConfigMaps, ConfigMapData} {
		if c := s.Coverage(kind); c.State != Read || c.Objects != 1 || c.Kind != kind {
			t.Errorf("coverage of %s is %+v", kind, c)
		}
	}
	if len(s.ConfigMaps) != 1 || s.ConfigMaps[0].Name != "app" {
		t.Errorf("the metadata is missing: %v", s.ConfigMaps)
	}
	if cm := s.ConfigMapData[0]; len(cm.Data) != 2 || cm.Data["PASSWORD"] != "a" || cm.Data["app.properties"] == "" || cm.BinaryData != nil {
		t.Errorf("kept %v of the body, want what may hold a credential", cm.Data)
	}
}

func TestWhatIsForbiddenForTheBodiesIsForbiddenForTheMetadataToo(t *testing.T) {
	server := newFakeServer(t)
	server.pods = 1
	server.faults["/api/v1/configmaps"] = func(w http.ResponseWriter, _ *http.Request) {
		status(w, http.StatusForbidden, metav1.StatusReasonForbidden, "configmaps is forbidden")
	}
	s, err := server.live().Load(t.Context(), []Kind{Pods, ConfigMaps, ConfigMapData})
	if err != nil {
		t.Fatal(err)
	}
	if c := s.Coverage(ConfigMaps); c.State != Forbidden || c.Reason == "" {
		t.Errorf("coverage is %+v", c)
	}
}
