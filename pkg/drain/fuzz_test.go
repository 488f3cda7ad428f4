package drain

import "testing"

// FuzzSchedulerConfiguration gives the scheduler's configuration any bytes: it
// is refused, or it has a profile to place pods by.
func FuzzSchedulerConfiguration(f *testing.F) {
	const head = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"
	for _, seed := range []string{
		head, head + "profiles: [{schedulerName: a, plugins: {score: {disabled: [{name: '*'}]}}}]", head + "profiles: [{}, {}]",
		head + "profiles: [{pluginConfig: [{name: NodeResourcesFit, args: {scoringStrategy: {type: 1}}}]}]", "kind: Pod", "\x00", "- a",
		head + "percentageOfNodesToScore: -1",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		configuration, err := SchedulerConfiguration(data)
		if err == nil && len(configuration.Profiles) == 0 {
			t.Errorf("%q is a configuration without a profile", data)
		}
	})
}
