package prove

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// FuzzDecode gives what decodes the values of a snapshot any bytes: none may
// crash it, and what is encrypted names a provider.
func FuzzDecode(f *testing.F) {
	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "cart", Namespace: "shop"}}
	raw, err := pod.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	envelope, err := (&runtime.Unknown{TypeMeta: runtime.TypeMeta{APIVersion: "v1", Kind: "Pod"}, Raw: raw}).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	whole := append([]byte("k8s\x00"), envelope...)
	if err := decode(whole); err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][]byte{
		whole, whole[:len(whole)/2], []byte("k8s\x00"), []byte(`{"kind":"Backup"}`), []byte("{"),
		[]byte("k8s:enc:aescbc:v1:key1:\x00\x01"), []byte("k8s:enc:kms:v2:plugin:x"), []byte("k8s:enc:"), []byte("k8s:enc::v1:key1:"), nil,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		if as, encrypted := encryption(value); encrypted {
			if as.Provider == "" {
				t.Errorf("no provider in %q", value)
			}
			return
		}
		_ = decode(value) // an error says that the value is none
	})
}
