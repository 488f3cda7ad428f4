package main

import "testing"

func TestATeamHasTheseManyPods(t *testing.T) {
	pods := databaseReplicas
	for _, n := range appReplicas() {
		pods += int(n)
	}
	if pods != podsPerTeam {
		t.Errorf("podsPerTeam is %d, and a team has %d", podsPerTeam, pods)
	}
}

func TestAFleetHasAboutThePodsAskedFor(t *testing.T) {
	for _, size := range []Size{{100, 2000}, {1000, 20000}, {10, 300}} {
		plan, err := planFleet(size)
		if err != nil {
			t.Fatal(err)
		}
		if plan.pods > size.Pods || plan.pods < size.Pods-podsPerTeam {
			t.Errorf("%+v gives %d pods", size, plan.pods)
		}
	}
}

func TestEveryTenthAppHasAFaultAndEachFaultOccurs(t *testing.T) {
	found := map[fault]int{}
	total := 0
	for i := range 50 {
		for n, replicas := range appReplicas() {
			found[newApp(team{ordinal: i}, n, replicas).fault]++
			total++
		}
	}
	if found[sound] != total*9/10 || len(found) != int(faults) {
		t.Errorf("of %d apps: %v", total, found)
	}
}
