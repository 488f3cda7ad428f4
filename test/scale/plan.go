package main

import "fmt"

// A fleet is a platform's DaemonSets and as many teams as fill it. Each team
// has a namespace with a dozen apps of believable sizes; see app.go for what
// is wrong with a tenth of them.
const podsPerTeam = 90

// appReplicas are the sizes of a team's apps; with the team's database they
// make podsPerTeam.
func appReplicas() []int32 { return []int32{1, 2, 2, 3, 3, 4, 6, 8, 10, 12, 15, 21} }

const databaseReplicas = 3

// plan is what a fleet consists of.
type plan struct {
	// stages follow one another: what an object needs is in a stage before it.
	stages [][]create
	pods   int // that run; a team's finished Job is one more
}

func planFleet(size Size) (plan, error) {
	certificates, err := newCertificates()
	if err != nil {
		return plan{}, err
	}
	daemons := platformDaemons()
	teams := (size.Pods - len(daemons)*size.Nodes) / podsPerTeam
	var namespaces, ground, workloads []create
	namespaces = append(clusterWide(), createNamespace(platformNamespace()))
	for _, d := range daemons {
		ground = append(ground, createServiceAccount(platform, d.Name))
		workloads = append(workloads, createDaemonSet(d))
	}
	for i := range teams {
		t := team{ordinal: i, name: fmt.Sprintf("team-%03d", i)}
		namespaces = append(namespaces, createNamespace(t.namespace()))
		ground = append(ground, t.ground(certificates)...)
		workloads = append(workloads, t.database()...)
		for n, replicas := range appReplicas() {
			a := newApp(t, n, replicas)
			ground = append(ground, a.ground()...)
			workloads = append(workloads, a.workload()...)
		}
	}
	return plan{
		stages: [][]create{namespaces, ground, workloads},
		pods:   teams*podsPerTeam + len(daemons)*size.Nodes,
	}, nil
}
