package plane

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// awaitUsable waits for what a user needs at once: the nodes, the account with
// which pods start, and the metrics API.
func (c *cluster) awaitUsable(ctx context.Context) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, pollInterval, c.timeout(), true, func(ctx context.Context) (bool, error) {
		now := c.usable(ctx)
		if now != nil && (last == nil || now.Error() != last.Error()) {
			fmt.Fprintf(c.progress, "  %v\n", now)
		}
		last = now
		return now == nil, nil
	})
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("after %s: %w", c.timeout(), last)
	}
	return err
}

func (c *cluster) usable(ctx context.Context) error {
	if err := c.nodesReady(ctx); err != nil {
		return err
	}
	_, err := c.clients.typed.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("no service account in namespace default: %w", err)
	}
	raw := c.clients.typed.CoreV1().RESTClient().Get().AbsPath("/apis/metrics.k8s.io/v1beta1/nodes")
	if err := raw.Do(ctx).Error(); err != nil {
		return fmt.Errorf("the metrics API does not answer: %w", err)
	}
	return nil
}

func (c *cluster) nodesReady(ctx context.Context) error {
	// Resource version 0 lets the API server answer from its cache.
	nodes, err := c.clients.typed.CoreV1().Nodes().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return fmt.Errorf("listing nodes: %w", err)
	}
	if len(nodes.Items) < c.wantedNodes() {
		return fmt.Errorf("%d of %d nodes are there", len(nodes.Items), c.wantedNodes())
	}
	for i := range nodes.Items {
		if !ready(&nodes.Items[i]) {
			return fmt.Errorf("node %s is not ready", nodes.Items[i].Name)
		}
	}
	return nil
}

func (c *cluster) wantedNodes() int {
	if c.settings.Node {
		return c.settings.Nodes + 1
	}
	return c.settings.Nodes
}

// ready wants the not-ready taint gone as well: until then nothing is scheduled.
func ready(node *corev1.Node) bool {
	tainted := slices.ContainsFunc(node.Spec.Taints, func(taint corev1.Taint) bool { return taint.Key == corev1.TaintNodeNotReady })
	return !tainted && slices.ContainsFunc(node.Status.Conditions, func(condition corev1.NodeCondition) bool {
		return condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue
	})
}
