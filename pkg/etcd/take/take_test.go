package take

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"

	"github.com/kubectl-prod/kubectl-prod/pkg/etcd/find"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// What etcdctl 3.7 and 3.5 print, with what it logs before.
const (
	threeMembers = `{"level":"warn","ts":"2026-08-01T02:00:00Z","msg":"a log line"}
{"header":{"cluster_id":1374763,"member_id":11,"raft_term":7},"members":[` +
		`{"ID":11,"name":"cp-1","peerURLs":["https://10.0.0.11:2380"],"clientURLs":["https://10.0.0.11:2379"]},` +
		`{"ID":12,"name":"cp-2","peerURLs":["https://10.0.0.12:2380"],"clientURLs":["https://10.0.0.12:2379"]},` +
		`{"ID":13,"name":"cp-3","peerURLs":["https://10.0.0.13:2380"],"clientURLs":["https://10.0.0.13:2379"]},` +
		`{"ID":14,"name":"cp-4","peerURLs":["https://10.0.0.14:2380"],"isLearner":true}]}`
	noAlarms  = `{"header":{"cluster_id":1374763,"member_id":11}}`
	twoAlarms = `{"header":{"cluster_id":1374763},"alarms":[{"memberID":12,"alarm":1},{"memberID":11,"alarm":1},{"memberID":13,"alarm":2}]}`
	named     = `{"header":{"cluster_id":1374763},"alarms":[{"memberID":12,"alarm":"NOSPACE"}]}`
)

func status(id, leader uint64, more string) string {
	return fmt.Sprintf(`{"Endpoint":"https://10.0.0.%d:2379","Status":{"header":{"cluster_id":1374763,"member_id":%d,"revision":412},"version":"3.7.0","dbSize":4096,"leader":%d%s,"dbSizeInUse":2048,"dbSizeQuota":8192}}`, id, id, leader, more)
}

func statuses(all ...string) string { return "[" + strings.Join(all, ",") + "]" }

func TestWhatEtcdctlPrintsIsRead(t *testing.T) {
	h, err := readHealth(threeMembers, twoAlarms, statuses(status(11, 11, ""), status(12, 11, ""), status(14, 11, `,"isLearner":true`)))
	if err != nil {
		t.Fatal(err)
	}
	want := []report.EtcdMember{
		{Name: "cp-1", ID: "b", PeerURLs: []string{"https://10.0.0.11:2380"}, ClientURLs: []string{"https://10.0.0.11:2379"}, Leader: true},
		{Name: "cp-2", ID: "c", PeerURLs: []string{"https://10.0.0.12:2380"}, ClientURLs: []string{"https://10.0.0.12:2379"}},
		{Name: "cp-3", ID: "d", PeerURLs: []string{"https://10.0.0.13:2380"}, ClientURLs: []string{"https://10.0.0.13:2379"}, Error: "it does not answer"},
		{Name: "cp-4", ID: "e", PeerURLs: []string{"https://10.0.0.14:2380"}, Learner: true},
	}
	if !reflect.DeepEqual(h.Members, want) {
		t.Errorf("members are\n%+v, want\n%+v", h.Members, want)
	}
	if h.ClusterID != "14fa2b" || fmt.Sprint(h.Alarms) != "[CORRUPT NOSPACE]" {
		t.Errorf("cluster %s, alarms %v", h.ClusterID, h.Alarms)
	}
	if s := h.Status["cp-2"]; s.DBSize != 4096 || s.DBInUse != 2048 || s.Quota != 8192 || s.Revision != 412 || s.Version != "3.7.0" {
		t.Errorf("status %+v", s)
	}
	if h, err = readHealth(threeMembers, named, statuses(status(11, 11, ""))); err != nil || fmt.Sprint(h.Alarms) != "[NOSPACE]" {
		t.Errorf("alarms by name are %v, %v", h.Alarms, err)
	}
	for name, test := range map[string][2]string{
		"no members": {"Error: context deadline exceeded", statuses()},
		"no status":  {threeMembers, "Error: context deadline exceeded"},
	} {
		if _, err := readHealth(test[0], noAlarms, test[1]); err == nil || !strings.Contains(err.Error(), "context deadline exceeded") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAHealthyFollowerIsAskedElseTheLeaderAndNeverALearner(t *testing.T) {
	pods := []string{"cp-1", "cp-2", "cp-3", "cp-4"}
	for name, test := range map[string]struct {
		statuses, pods []string
		want, err      string
	}{
		"a follower":                 {[]string{status(11, 11, ""), status(12, 11, ""), status(13, 11, "")}, pods, "cp-2", ""},
		"not a sick one":             {[]string{status(11, 11, ""), status(12, 11, `,"errors":["corruption detected"]`), status(13, 11, "")}, pods, "cp-3", ""},
		"one without room is sound":  {[]string{status(11, 11, ""), status(12, 11, `,"errors":["alarm:NOSPACE"]`)}, pods, "cp-2", ""},
		"the leader where no other":  {[]string{status(11, 11, ""), status(14, 11, `,"isLearner":true`)}, pods, "cp-1", ""},
		"one of those with a pod":    {[]string{status(11, 11, ""), status(12, 11, ""), status(13, 11, "")}, []string{"cp-3"}, "cp-3", ""},
		"none without a leader":      {[]string{status(11, 0, ""), status(12, 0, "")}, pods, "", "no etcd member can be asked for a snapshot: cp-1: it has no leader; cp-2: it has no leader; cp-3: it does not answer; cp-4 is a learner"},
		"none where only a learner":  {[]string{status(14, 11, `,"isLearner":true`)}, []string{"cp-4"}, "", "cp-1 has no pod here; cp-2 has no pod here; cp-3 has no pod here; cp-4 is a learner"},
		"none where all are corrupt": {[]string{status(11, 11, `,"errors":["etcdserver: corrupt cluster"]`)}, []string{"cp-1"}, "", "cp-1: etcdserver: corrupt cluster"},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := readHealth(threeMembers, noAlarms, statuses(test.statuses...))
			if err != nil {
				t.Fatal(err)
			}
			got, err := h.Choose(test.pods)
			if got != test.want || test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func kubeadmMember() find.Member {
	return find.Member{
		Pod: "etcd-cp-1", Namespace: "kube-system", Node: "cp-1", Name: "cp-1", Image: "registry.k8s.io/etcd:3.7.0-0", ClientURL: "https://10.0.0.11:2379",
		CA: "/pki/ca.crt", Cert: "/pki/server.crt", Key: "/pki/server.key",
		Volumes: []corev1.Volume{{Name: "etcd-certs", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/etc/kubernetes/pki/etcd"}}}},
		Mounts:  []corev1.VolumeMount{{Name: "etcd-certs", MountPath: "/pki", ReadOnly: true}},
	}
}

func TestNothingInAHelperPodCanBeUsedToBecomeSomebodyElse(t *testing.T) {
	h := Helpers{Deadline: time.Hour}
	pod := h.pod(kubeadmMember(), "save", 1<<30)
	pod.Spec.Containers = []corev1.Container{etcdctl(kubeadmMember(), "save", "snapshot", "save"), container(kubeadmMember(), "serve", "etcd")}
	s := pod.Spec
	if *s.AutomountServiceAccountToken || s.NodeName != "cp-1" || *s.ActiveDeadlineSeconds != 3600 || s.HostNetwork || s.HostPID || s.HostIPC ||
		s.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault || s.RestartPolicy != corev1.RestartPolicyNever {
		t.Errorf("%+v", s)
	}
	for _, v := range s.Volumes {
		if v.EmptyDir != nil && v.EmptyDir.SizeLimit.Cmp(resource.MustParse("1Gi")) != 0 {
			t.Errorf("the scratch is %v", v.EmptyDir)
		}
	}
	for _, c := range s.Containers {
		if !*c.SecurityContext.ReadOnlyRootFilesystem || *c.SecurityContext.AllowPrivilegeEscalation || *c.SecurityContext.Privileged || c.SecurityContext.Capabilities.Drop[0] != "ALL" {
			t.Errorf("%s: %+v", c.Name, c.SecurityContext)
		}
		if c.Image != "registry.k8s.io/etcd:3.7.0-0" || c.ImagePullPolicy != corev1.PullIfNotPresent {
			t.Errorf("%s is of another image: %s", c.Name, c.Image)
		}
	}
	if mounts := s.Containers[1].VolumeMounts; len(mounts) != 0 {
		t.Errorf("a container that asks nobody has the keys: %+v", mounts)
	}
	if command := strings.Join(s.Containers[0].Command, " "); command != "etcdctl --cacert=/pki/ca.crt --cert=/pki/server.crt --command-timeout=5m --dial-timeout=10s --endpoints=https://10.0.0.11:2379 --key=/pki/server.key snapshot save" {
		t.Error(command)
	}
}

func TestAHelperRunsAsEtcdDoes(t *testing.T) {
	user, group := int64(2001), int64(2001)
	m := kubeadmMember()
	if s := podSecurity(m.User); *s.RunAsUser != 0 {
		t.Errorf("as %d, and the keys are root's", *s.RunAsUser)
	}
	m.User = &corev1.PodSecurityContext{RunAsUser: &user, RunAsGroup: &group, SupplementalGroups: []int64{2002}}
	if s := podSecurity(m.User); *s.RunAsUser != 2001 || !*s.RunAsNonRoot || s.SupplementalGroups[0] != 2002 || *s.FSGroup != 2001 {
		t.Errorf("%+v", s)
	}
}

func TestOnlyAHelperWhoseRunIsGoneIsAnOrphan(t *testing.T) {
	now := time.Now()
	here, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		alive  time.Duration // ago
		runner string
		phase  corev1.PodPhase
		want   bool
	}{
		"alive elsewhere":             {10 * time.Second, "elsewhere/1", corev1.PodRunning, false},
		"silent for a minute":         {2 * time.Minute, "elsewhere/1", corev1.PodRunning, true},
		"this very process":           {10 * time.Second, fmt.Sprintf("%s/%d", here, os.Getpid()), corev1.PodRunning, false},
		"a process here that is gone": {time.Second, here + "/2147483646", corev1.PodRunning, true},
		"done":                        {time.Second, fmt.Sprintf("%s/%d", here, os.Getpid()), corev1.PodSucceeded, true},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{
				aliveAnnotation: now.Add(-test.alive).UTC().Format(time.RFC3339), runnerAnnotation: test.runner,
			}}, Status: corev1.PodStatus{Phase: test.phase}}
			if got := orphaned(pod, now); got != test.want {
				t.Errorf("orphaned: %v", got)
			}
		})
	}
	if !orphaned(&corev1.Pod{}, now) {
		t.Error("one that never said that it lives is kept for ever")
	}
}

func TestEachRefusalSaysWhatToAllow(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "kubectl-prod-etcd-look-x", Namespace: "kube-system"}}
	forbidden := func(message string) error {
		return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, pod.Name, errors.New(message))
	}
	exempt := "exempt pods with the label app.kubernetes.io/managed-by=kubectl-prod,prod.kubectl.io/helper=backup-etcd in namespace kube-system"
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"Pod Security": {forbidden(`violates PodSecurity "restricted:latest": restricted volume types`), "kubectl label namespace kube-system pod-security.kubernetes.io/enforce=privileged"},
		"Kyverno":      {apierrors.NewBadRequest("admission webhook \"validate.kyverno.svc-fail\" denied the request: \n\nresource Pod/kube-system/x was blocked"), "webhook validate.kyverno.svc-fail refuses the helper pod: " + exempt},
		"Gatekeeper":   {forbidden(`admission webhook "validation.gatekeeper.sh" denied the request: [psp-host-filesystem] HostPath volume`), "webhook validation.gatekeeper.sh refuses the helper pod: " + exempt},
		"a policy":     {forbidden(`ValidatingAdmissionPolicy 'no-host-path' with binding 'b' denied request: no`), "policy no-host-path refuses the helper pod: " + exempt},
		"no right":     {forbidden(`User "dev" cannot create resource "pods"`), "backup-etcd needs create, get, delete and patch of pods"},
		"a quota":      {errors.New("etcdserver: request timed out"), "making the helper pod: etcdserver"},
	} {
		t.Run(name, func(t *testing.T) {
			err := refused(pod, test.err)
			if !strings.Contains(err.Error(), test.want) || !errors.Is(err, test.err) {
				t.Error(err)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than a line: %q", err)
			}
		})
	}
}

// A helper pod whose making is not answered may be there: it is removed.
func TestAHelperOfWhichNobodyAnsweredIsRemoved(t *testing.T) {
	for name, test := range map[string]struct {
		answer error
		left   int
	}{
		"the connection is lost": {errors.New("connection reset by peer"), 0},
		"the server times out":   {apierrors.NewInternalError(errors.New("etcdserver: request timed out")), 0},
		"it is refused":          {apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "x", errors.New("no")), 1},
	} {
		t.Run(name, func(t *testing.T) {
			client := fake.NewClientset()
			client.PrependReactor("create", "pods", func(action ktesting.Action) (bool, runtime.Object, error) {
				made := action.(ktesting.CreateAction)
				if err := client.Tracker().Create(made.GetResource(), made.GetObject(), made.GetNamespace()); err != nil {
					t.Fatal(err)
				}
				return true, nil, test.answer
			})
			_, err := Helpers{Client: client}.create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "x", Namespace: "kube-system"}})
			pods, listErr := client.CoreV1().Pods("kube-system").List(t.Context(), metav1.ListOptions{})
			if err == nil || listErr != nil || len(pods.Items) != test.left {
				t.Errorf("%v, %v: %d pods are left, want %d", err, listErr, len(pods.Items), test.left)
			}
		})
	}
}
