//go:build cluster

package main

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

// needNode skips where a real node cannot be, but fails where it should be.
func needNode(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "linux" && os.Geteuid() == 0 {
		return
	}
	const reason = "a real node needs Linux and root"
	if os.Getenv("CI") == "true" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

func TestARealNodeRunsRealPodsAndIsGivenBack(t *testing.T) {
	needNode(t)
	before := takeTraces(t)
	c := newTool(t)
	t.Cleanup(func() { c.down("node"); before.check(t, c.state) })

	c.run("up", "--name", "node", "--node", "--nodes", "2")
	c.run("status", "--name", "node")
	manifest, err := filepath.Abs("testdata/pods.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c.kubectl("node", "apply", "-f", manifest)
	c.kubectl("node", "rollout", "status", "deployment/web", "--timeout=90s")

	t.Run("logs and exec work", func(t *testing.T) {
		c := c.in(t)
		if got := c.kubectl("node", "logs", "deployment/web"); !strings.Contains(got, "listening") {
			t.Errorf("logs: %s", got)
		}
		if got := c.kubectl("node", "exec", "deployment/web", "--", "/web", "echo", "hello"); !strings.Contains(got, "hello") {
			t.Errorf("exec: %s", got)
		}
	})
	t.Run("names resolve and Services route", func(t *testing.T) {
		c := c.in(t)
		got := c.kubectl("node", "exec", "deployment/web", "--", "/web", "get", "http://web.default.svc.cluster.local/")
		if !strings.Contains(got, "hello from web-") {
			t.Errorf("the Service answered %q", got)
		}
	})
	t.Run("port-forward works", func(t *testing.T) { portForward(t, c.in(t)) })
	t.Run("etcd is kubeadm's static pod, without a shell", func(t *testing.T) {
		c := c.in(t)
		c.kubectl("node", "-n", "kube-system", "exec", "etcd-control-plane", "--", "etcdctl", "version")
		if exec.Command("sh", "-c", c.run("env", "--name", "node")+"kubectl -n kube-system exec etcd-control-plane -- sh -c true").Run() == nil {
			t.Error("there should be no shell")
		}
	})
	t.Run("a claim is bound on the node", func(t *testing.T) {
		c := c.in(t)
		c.kubectl("node", "wait", "--for=condition=Ready", "pod/keeper", "--timeout=60s")
	})
	t.Run("bad pods go bad as they should", func(t *testing.T) {
		c := c.in(t)
		for pod, reason := range map[string]string{"crash": "exitCode\":3", "hog": "OOMKilled"} {
			eventually(t, pod+" shows "+reason, func() bool {
				return strings.Contains(c.kubectl("node", "get", "pod", pod, "-o", "jsonpath={.status.containerStatuses}"), reason)
			})
		}
	})
	t.Run("the real node's usage is measured", func(t *testing.T) {
		c := c.in(t)
		eventually(t, "usage", func() bool {
			return exec.Command("sh", "-c", c.run("env", "--name", "node")+"kubectl top node control-plane").Run() == nil
		})
	})

	second := newTool(t)
	output, err := second.command("up", "--name", "second", "--node").CombinedOutput()
	if err == nil || !strings.Contains(string(output), "already the node") {
		t.Errorf("a second real node on one machine should be refused, got %v\n%s", err, output)
	}
}

func portForward(t *testing.T, c tool) {
	script := c.run("env", "--name", "node") + "exec kubectl port-forward service/web :80 --address 127.0.0.1"
	cmd := exec.Command("sh", "-c", script)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	line := make([]byte, 200)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	address := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(string(line[:n]))
	client := http.Client{Timeout: 10 * time.Second}
	response, err := client.Get("http://" + address + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); !strings.Contains(string(body), "hello from web-") {
		t.Errorf("answered %q", body)
	}
}

func TestAnInterruptedNodeUpGivesTheMachineBack(t *testing.T) {
	needNode(t)
	before := takeTraces(t)
	c := newTool(t)
	t.Cleanup(func() { c.down("cut"); before.check(t, c.state) })

	for _, program := range []string{"containerd", "kubelet", "kube-scheduler", "kube-proxy"} {
		interruptWhenRuns(t, c, program, "up", "--name", "cut", "--node", "--nodes", "0")
		before.check(t, c.state)
	}
}

func TestASavedNodeComesBack(t *testing.T) {
	needNode(t)
	before := takeTraces(t)
	c := newTool(t)
	t.Cleanup(func() { c.down("first"); c.down("second"); before.check(t, c.state) })

	c.run("up", "--name", "first", "--node", "--nodes", "0")
	c.kubectl("first", "create", "configmap", "kept")
	file := filepath.Join(t.TempDir(), "saved.tar")
	c.run("save", "--name", "first", file)
	c.run("down", "--name", "first")
	c.run("up", "--name", "second", "--node", "--restore", file)
	c.kubectl("second", "get", "configmap", "kept")
	c.kubectl("second", "-n", "kube-system", "wait", "--for=condition=Ready", "pod/etcd-control-plane", "--timeout=60s")
}
