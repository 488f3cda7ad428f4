package take

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/etcd/find"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// Health is what etcd says of itself.
type Health struct {
	ClusterID string
	Members   []report.EtcdMember
	// Alarms are of the whole cluster: NOSPACE, CORRUPT.
	Alarms []string
	// Status is by the member's name.
	Status map[string]Status
}

// Status is what one member says of itself, sizes in bytes. Quota is 0 before
// etcd 3.6.
type Status struct {
	Version                string
	DBSize, DBInUse, Quota int64
	Revision               int64
	Leader, Learner        bool
	Error                  string
}

// Look asks etcd through a helper pod beside a member: status of all members,
// who they are, and alarms. One that is down is told, not an error.
func (h Helpers) Look(ctx context.Context, m find.Member) (health Health, err error) {
	pod := h.pod(m, "look", 0)
	pod.Spec.Containers = []corev1.Container{
		etcdctl(m, "members", "member", "list", "-w=json"),
		etcdctl(m, "alarms", "alarm", "list", "-w=json"),
		etcdctl(m, "status", "endpoint", "status", "--cluster", "-w=json"),
	}
	remove, err := h.create(ctx, pod)
	if err != nil {
		return health, err
	}
	defer func() {
		if gone := remove(); gone != nil && err == nil {
			err = gone
		}
	}()
	if err := h.await(ctx, pod, h.Start, func(p *corev1.Pod) bool { return ended(p, "status") && ended(p, "members") && ended(p, "alarms") }); err != nil {
		return health, err
	}
	logs := map[string]string{}
	for _, name := range []string{"members", "alarms", "status"} {
		if logs[name], err = h.log(ctx, pod, name); err != nil {
			return health, fmt.Errorf("reading what the helper pod found: %w", err)
		}
	}
	return readHealth(logs["members"], logs["alarms"], logs["status"])
}

// ended reports whether a container is done, well or not: of three questions,
// one may be answered badly by a cluster that is sick.
func ended(pod *corev1.Pod, name string) bool {
	return slices.ContainsFunc(pod.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool {
		return c.Name == name && c.State.Terminated != nil
	})
}

// jsonLine is the last line of a log that is JSON of the kind that etcdctl
// prints, not of the kind it logs.
func jsonLine(log, begins string) string {
	for _, line := range slices.Backward(strings.Split(strings.TrimSpace(log), "\n")) {
		if strings.HasPrefix(line, begins) {
			return line
		}
	}
	return ""
}

// readHealth reads etcdctl's answers, as versions 3.4 to 3.7 print them.
func readHealth(members, alarms, status string) (Health, error) {
	var list struct {
		Header struct {
			ClusterID uint64 `json:"cluster_id"`
		}
		Members []struct {
			ID                   uint64
			Name                 string
			PeerURLs, ClientURLs []string
			IsLearner            bool
		}
	}
	if err := json.Unmarshal([]byte(jsonLine(members, `{"header"`)), &list); err != nil {
		return Health{}, fmt.Errorf("etcd did not tell its members: %s", oneLine(members))
	}
	h := Health{ClusterID: strconv.FormatUint(list.Header.ClusterID, 16), Status: map[string]Status{}}
	names := map[uint64]string{}
	for _, m := range list.Members {
		names[m.ID] = m.Name
		h.Members = append(h.Members, report.EtcdMember{
			Name: m.Name, ID: strconv.FormatUint(m.ID, 16), PeerURLs: m.PeerURLs, ClientURLs: m.ClientURLs, Learner: m.IsLearner,
			Error: "it does not answer",
		})
	}
	h.Alarms = readAlarms(alarms)
	var endpoints []struct {
		Status struct {
			Header struct {
				MemberID uint64 `json:"member_id"`
				Revision int64
			}
			Version                          string
			DBSize, DBSizeInUse, DBSizeQuota int64
			Leader                           uint64
			IsLearner                        bool
			Errors                           []string
		}
	}
	if err := json.Unmarshal([]byte(jsonLine(status, `[`)), &endpoints); err != nil {
		return Health{}, fmt.Errorf("etcd did not tell its status: %s", oneLine(status))
	}
	for _, e := range endpoints {
		s := e.Status
		name := names[s.Header.MemberID]
		h.Status[name] = Status{
			Version: s.Version, DBSize: s.DBSize, DBInUse: s.DBSizeInUse, Quota: s.DBSizeQuota,
			Revision: s.Header.Revision, Leader: s.Leader == s.Header.MemberID, Learner: s.IsLearner,
			Error: trouble(s.Errors, s.Leader),
		}
	}
	h.settle()
	return h, nil
}

// settle writes each member's status to the list of members.
func (h *Health) settle() {
	for i := range h.Members {
		if s, answered := h.Status[h.Members[i].Name]; answered {
			h.Members[i].Leader, h.Members[i].Error = s.Leader, s.Error
			h.Members[i].Learner = h.Members[i].Learner || s.Learner
		}
	}
}

func readAlarms(log string) []string {
	var list struct {
		Alarms []struct {
			Alarm json.RawMessage `json:"alarm"`
		}
	}
	if json.Unmarshal([]byte(jsonLine(log, `{"header"`)), &list) != nil {
		return nil
	}
	var names []string
	for _, a := range list.Alarms {
		name := map[string]string{"1": "NOSPACE", "2": "CORRUPT"}[strings.Trim(string(a.Alarm), `"`)]
		if name == "" {
			name = strings.Trim(string(a.Alarm), `"`)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// trouble is what makes a member a bad one to ask. An alarm for space does not:
// the data is sound.
func trouble(errors []string, leader uint64) string {
	for _, e := range errors {
		if !strings.Contains(e, "NOSPACE") {
			return oneLine(e)
		}
	}
	if leader == 0 {
		return "it has no leader"
	}
	return ""
}

// Choose is the member to ask: a healthy follower, else the leader; never a
// learner, whose data is behind.
func (h Health) Choose(names []string) (string, error) {
	leader := ""
	var why []string
	for _, m := range h.Members {
		switch {
		case !slices.Contains(names, m.Name):
			why = append(why, m.Name+" has no pod here")
		case m.Learner:
			why = append(why, m.Name+" is a learner")
		case m.Error != "":
			why = append(why, m.Name+": "+m.Error)
		case m.Leader:
			leader = m.Name
		default:
			return m.Name, nil
		}
	}
	if leader != "" {
		return leader, nil
	}
	return "", fmt.Errorf("no etcd member can be asked for a snapshot: %s", strings.Join(why, "; "))
}
