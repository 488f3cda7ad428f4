package machine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
)

func bridgeExists() bool {
	_, err := net.InterfaceByName(bridgeName)
	return err == nil
}

// ensureBridge makes the bridge before the first pod does, because its address
// is the node's.
func ensureBridge(ctx context.Context) error {
	if bridgeExists() {
		return nil
	}
	for _, args := range [][]string{
		{"link", "add", bridgeName, "type", "bridge"},
		{"address", "add", NodeIP + "/24", "dev", bridgeName},
		{"link", "set", bridgeName, "up"},
	} {
		if err := run(ctx, "ip", args...); err != nil {
			return fmt.Errorf("making the pods' bridge: %w", err)
		}
	}
	return nil
}

func removeBridge(ctx context.Context) error {
	if !bridgeExists() {
		return nil
	}
	return run(ctx, "ip", "link", "delete", bridgeName)
}

// removeProxyRules lets kube-proxy remove its own rules.
func (m Machine) removeProxyRules(ctx context.Context) error {
	config := m.Dir.Config("kube-proxy.yaml")
	if _, err := os.Stat(config); err != nil {
		return nil // `up` did not come that far
	}
	if err := run(ctx, filepath.Join(m.Dir.Bin(), "kube-proxy"), "--config="+config, "--cleanup"); err != nil {
		return err
	}
	return errors.Join(removeFirewallChain(ctx, "iptables"), removeFirewallChain(ctx, "ip6tables"))
}

// removeFirewallChain removes the one chain that kube-proxy leaves, because
// older kubelets used it too.
func removeFirewallChain(ctx context.Context, iptables string) error {
	const chain = "KUBE-FIREWALL"
	if exec.CommandContext(ctx, iptables, "--wait", "--list", chain).Run() != nil {
		return nil
	}
	for _, args := range [][]string{{"--delete", "INPUT", "--jump", chain}, {"--delete", "OUTPUT", "--jump", chain}, {"--flush", chain}, {"--delete-chain", chain}} {
		if err := run(ctx, iptables, append([]string{"--wait"}, args...)...); err != nil {
			return fmt.Errorf("removing kube-proxy's rules: %w", err)
		}
	}
	return nil
}
