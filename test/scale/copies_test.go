package main

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
)

const (
	uidOfOwner  = "11111111-2222-3333-4444-555555555555"
	uidOfShared = "99999999-2222-3333-4444-555555555555"
	uidOfPod    = "77777777-2222-3333-4444-555555555555"
)

// stored is an object as etcd keeps it.
func stored(t *testing.T, object runtime.Object, kind string) []byte {
	t.Helper()
	object.GetObjectKind().SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(kind))
	var out bytes.Buffer
	if err := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme).Encode(object, &out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func podOf(namespace, name, node string, owners ...types.UID) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: uidOfPod}, Spec: corev1.PodSpec{NodeName: node}}
	for _, uid := range owners {
		p.OwnerReferences = append(p.OwnerReferences, metav1.OwnerReference{UID: uid})
	}
	return p
}

// learnt are copies of a fleet of three nodes and two teams.
func learnt(t *testing.T) *copies {
	t.Helper()
	c := &copies{nodes: 3, pattern: names(), taken: map[netip.Addr]bool{}, shared: map[string]bool{}}
	for key, value := range map[string][]byte{
		"/registry/namespaces/team-000":       stored(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team-000"}}, "Namespace"),
		"/registry/namespaces/team-001":       stored(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team-001"}}, "Namespace"),
		"/registry/daemonsets/platform/agent": []byte(`{"metadata":{"uid":"` + uidOfShared + `"}}`),
		"/registry/ipaddresses/10.96.0.1":     []byte(`{"spec":{"parentRef":{"namespace":"default"}}}`),
		"/registry/ipaddresses/10.96.0.7":     []byte(`{"spec":{"parentRef":{"namespace":"team-001"}}}`),
		"/registry/ipaddresses/10.96.0.8":     []byte(`{"spec":{"parentRef":{"namespace":"platform"}}}`),
	} {
		if err := c.learn(key, value); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func TestACopyKeepsItsOwnersAndItsNode(t *testing.T) {
	c := learnt(t)
	seen := map[types.UID]bool{uidOfPod: true}
	for ordinal, want := range map[int][2]string{1: {"team-003", "worker-a2"}, 2: {"team-005", "worker-a4"}} {
		c.begin(ordinal)
		key, value, err := c.copied("/registry/pods/team-001/app-0", stored(t, podOf("team-001", "app-0", "worker-a1", uidOfOwner, uidOfShared), "Pod"))
		if err != nil {
			t.Fatal(err)
		}
		object, err := decoded(value)
		if err != nil {
			t.Fatal(err)
		}
		p := object.(*corev1.Pod)
		if key != "/registry/pods/"+want[0]+"/app-0" || p.Namespace != want[0] || p.Spec.NodeName != want[1] {
			t.Errorf("copy %d is %s in %s on %s", ordinal, key, p.Namespace, p.Spec.NodeName)
		}
		if seen[p.UID] || string(p.OwnerReferences[0].UID) != c.renamed(uidOfOwner) || p.OwnerReferences[1].UID != uidOfShared {
			t.Errorf("copy %d is %s of %v", ordinal, p.UID, p.OwnerReferences)
		}
		seen[p.UID] = true
	}
}

func TestADaemonsPodIsNamedAnew(t *testing.T) {
	c := learnt(t)
	c.begin(1)
	key, value, err := c.copied("/registry/pods/platform/agent-x7k2p", stored(t, podOf("platform", "agent-x7k2p", "worker-b1", uidOfShared), "Pod"))
	if err != nil {
		t.Fatal(err)
	}
	object, err := decoded(value)
	if err != nil {
		t.Fatal(err)
	}
	if p := object.(*corev1.Pod); key != "/registry/pods/platform/agent-x7k2p1" || p.Name != "agent-x7k2p1" || p.Spec.NodeName != "worker-b2" {
		t.Errorf("%s: %s on %s", key, p.Name, p.Spec.NodeName)
	}
}

func TestAServicesAddressIsOneThatNobodyHas(t *testing.T) {
	c := learnt(t)
	for ordinal := 1; ordinal < 3; ordinal++ {
		c.begin(ordinal)
		service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "team-001", Name: "app"}, Spec: corev1.ServiceSpec{ClusterIP: "10.96.0.7", ExternalIPs: []string{"10.96.0.1"}}}
		_, value, err := c.copied("/registry/services/specs/team-001/app", stored(t, service, "Service"))
		if err != nil {
			t.Fatal(err)
		}
		object, err := decoded(value)
		if err != nil {
			t.Fatal(err)
		}
		spec := object.(*corev1.Service).Spec
		if spec.ExternalIPs[0] != "10.96.0.1" || spec.ClusterIP == "10.96.0.7" || spec.ClusterIP == "10.96.0.8" || spec.ClusterIP == "10.96.0.1" {
			t.Errorf("copy %d has %s, %v", ordinal, spec.ClusterIP, spec.ExternalIPs)
		}
		key, _, err := c.copied("/registry/ipaddresses/10.96.0.7", []byte(`{"metadata":{"name":"10.96.0.7"}}`))
		if err != nil || key != "/registry/ipaddresses/"+spec.ClusterIP {
			t.Errorf("the address is kept as %s, %v", key, err)
		}
	}
}

func TestWhatIsThereOnceIsNotCopied(t *testing.T) {
	c := learnt(t)
	c.begin(1)
	for key, want := range map[string]bool{
		"/registry/pods/team-000/app": true, "/registry/minions/worker-a1": true, "/registry/csinodes/worker-c1": true, "/registry/pods/platform/agent-x7k2p": true,
		"/registry/monitoring.coreos.com/servicemonitors/team-000/app": true, "/registry/persistentvolumes/team-000-data": true, "/registry/ipaddresses/10.96.0.7": true,
		"/registry/daemonsets/platform/agent": false, "/registry/events/team-000/app.1": false, "/registry/leases/kube-node-lease/worker-a1": false,
		"/registry/ipaddresses/10.96.0.8": false, "/registry/pods/kube-system/etcd": false,
	} {
		if got := c.multiplied(key); got != want {
			t.Errorf("%s: %t", key, got)
		}
	}
	if !strings.HasPrefix(c.renamed("worker-c1"), "worker-c") {
		t.Error("a node changes its zone")
	}
}
