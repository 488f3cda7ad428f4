package take

import "testing"

// FuzzAnswers gives what reads etcdctl's log any text: an error names what etcd
// did not tell, and each member that is told of has a status or says that it
// does not answer.
func FuzzAnswers(f *testing.F) {
	members := `{"header":{"cluster_id":1,"member_id":2},"members":[{"ID":2,"name":"a","peerURLs":["https://a:2380"]},{"ID":3,"name":"b","isLearner":true}]}`
	status := `[{"Endpoint":"https://a:2379","Status":{"header":{"member_id":2,"revision":7},"version":"3.6.1","dbSize":10,"leader":2}}]`
	f.Add(members, `{"header":{},"alarms":[{"memberID":2,"alarm":1}]}`, status)
	f.Add("{\"level\":\"warn\"}\n"+members, `{"header":{},"alarms":[{"alarm":"CORRUPT"},{}]}`, "Error: no\n[]")
	f.Add(`{"header"`, `{"header":1}`, "[null]")
	f.Add(`{"header":{"cluster_id":-1}}`, "", `[{"Status":{"header":{"member_id":1e99}}}]`)
	f.Fuzz(func(t *testing.T, members, alarms, status string) {
		health, err := readHealth(members, alarms, status)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without a word")
			}
			return
		}
		for _, m := range health.Members {
			if _, answered := health.Status[m.Name]; !answered && m.Error == "" {
				t.Errorf("member %q did not answer, and nothing tells of it", m.Name)
			}
		}
	})
}
