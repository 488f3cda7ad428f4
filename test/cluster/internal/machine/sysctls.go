package machine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// sysctls are the kernel's settings that the bridge plugin (the first) and the
// kubelet (the rest, see its setupKernelTunables) change.
func sysctls() []string {
	return []string{
		"net/ipv4/ip_forward",
		"vm/overcommit_memory", "vm/panic_on_oom",
		"kernel/panic", "kernel/panic_on_oops",
		"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
	}
}

func sysctlFile(name string) string { return filepath.Join("/proc/sys", name) }

// rememberSysctls writes down what the settings were before we came.
func (m Machine) rememberSysctls() error {
	file := m.Dir.Config("sysctls.json")
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	values := map[string]string{}
	for _, name := range sysctls() {
		value, err := os.ReadFile(sysctlFile(name))
		if err != nil {
			return fmt.Errorf("reading a kernel setting: %w", err)
		}
		values[name] = strings.TrimSpace(string(value))
	}
	data, err := json.Marshal(values)
	if err != nil {
		return fmt.Errorf("encoding the kernel's settings: %w", err)
	}
	return os.WriteFile(file, data, 0o600)
}

func (m Machine) restoreSysctls(context.Context) error {
	data, err := os.ReadFile(m.Dir.Config("sysctls.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // `up` did not come that far
	}
	if err != nil {
		return fmt.Errorf("reading the remembered kernel settings: %w", err)
	}
	var values map[string]string
	if err := json.Unmarshal(data, &values); err != nil {
		return fmt.Errorf("reading the remembered kernel settings: %w", err)
	}
	for name, value := range values {
		if err := os.WriteFile(sysctlFile(name), []byte(value), 0o644); err != nil {
			return fmt.Errorf("restoring a kernel setting: %w", err)
		}
	}
	return nil
}
