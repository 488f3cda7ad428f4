package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	createAtOnce = 32
	// runningTimeout is for 20,000 pods on a busy laptop; most of it is the
	// scheduler's.
	runningTimeout = 45 * time.Minute
	pollInterval   = 3 * time.Second
)

// makeFleet brings a cluster up, fills it, waits until everything runs, keeps
// it as an archive and takes it down.
func makeFleet(ctx context.Context, program string, size Size) (err error) {
	if err := size.check(); err != nil {
		return err
	}
	archive, err := size.archive()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(archive), 0o700); err != nil {
		return fmt.Errorf("making a place for fleets: %w", err)
	}
	cluster := testCluster{program: program, name: fmt.Sprintf("fleet-%d-%d", size.Nodes, size.Pods)}
	defer func() { err = errors.Join(err, cluster.down(ctx)) }()
	if err := cluster.up(ctx, "--nodes", strconv.Itoa(size.Nodes)); err != nil {
		return err
	}
	kubeconfig, err := cluster.kubeconfig(ctx)
	if err != nil {
		return err
	}
	if err := fill(ctx, kubeconfig, size); err != nil {
		return err
	}
	return cluster.save(ctx, archive)
}

// fill creates the fleet's objects and waits until all pods run.
func fill(ctx context.Context, kubeconfig string, size Size) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return fmt.Errorf("reading %s: %w", kubeconfig, err)
	}
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	plan, err := planFleet(size)
	if err != nil {
		return err
	}
	start := time.Now()
	for _, stage := range plan.stages {
		if err := createAll(ctx, client, stage); err != nil {
			return err
		}
	}
	fmt.Fprintf(os.Stderr, "objects created (%s)\n", time.Since(start).Round(time.Second))
	return awaitRunning(ctx, client, plan.pods)
}

// create makes one object.
type create func(context.Context, kubernetes.Interface) error

// createAll makes objects, many at once; those that are there already stay.
func createAll(ctx context.Context, client kubernetes.Interface, objects []create) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(createAtOnce)
	for _, object := range objects {
		group.Go(func() error {
			if err := object(ctx, client); err != nil && !apierrors.IsAlreadyExists(err) {
				return fmt.Errorf("creating an object of the fleet: %w", err)
			}
			return nil
		})
	}
	return group.Wait()
}

// awaitRunning waits until the workloads have all their pods ready.
func awaitRunning(ctx context.Context, client kubernetes.Interface, want int) error {
	start := time.Now()
	ready := 0
	err := wait.PollUntilContextTimeout(ctx, pollInterval, runningTimeout, true, func(ctx context.Context) (bool, error) {
		now, err := readyPods(ctx, client)
		if err != nil {
			return false, err
		}
		ready = now
		fmt.Fprintf(os.Stderr, "%d of %d pods ready (%s)\n", ready, want, time.Since(start).Round(time.Second))
		return ready >= want, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for %d pods, of which %d are ready: %w", want, ready, err)
	}
	return nil
}

// readyPods adds up what the controllers report, which is cheaper than to ask
// for every pod.
func readyPods(ctx context.Context, client kubernetes.Interface) (int, error) {
	ready := 0
	deployments, err := client.AppsV1().Deployments("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return 0, fmt.Errorf("listing Deployments: %w", err)
	}
	for i := range deployments.Items {
		ready += int(deployments.Items[i].Status.ReadyReplicas)
	}
	sets, err := client.AppsV1().StatefulSets("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return 0, fmt.Errorf("listing StatefulSets: %w", err)
	}
	for i := range sets.Items {
		ready += int(sets.Items[i].Status.ReadyReplicas)
	}
	daemons, err := client.AppsV1().DaemonSets("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return 0, fmt.Errorf("listing DaemonSets: %w", err)
	}
	for i := range daemons.Items {
		ready += int(daemons.Items[i].Status.NumberReady)
	}
	return ready, nil
}
