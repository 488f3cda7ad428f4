package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// aptPackage is a Debian package and a file by which we see that it is there.
type aptPackage struct{ name, file string }

// cniPlugins is where Debian's package puts them.
const cniPlugins = "/usr/lib/cni"

func aptPackages() []aptPackage {
	return []aptPackage{
		{"runc", "/usr/sbin/runc"},
		{"conntrack", "/usr/sbin/conntrack"},
		{"containernetworking-plugins", cniPlugins + "/bridge"},
		{"iptables", "/usr/sbin/iptables"},
		{"iproute2", "/usr/sbin/ip"},
	}
}

// InstallPackages installs the Debian packages that are missing.
func (m Machine) InstallPackages(ctx context.Context) error {
	var absent []string
	for _, p := range aptPackages() {
		if _, err := os.Stat(p.file); err != nil {
			absent = append(absent, p.name)
		}
	}
	if len(absent) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("--node needs %s, and there is no apt-get to install them", strings.Join(absent, ", "))
	}
	fmt.Fprintf(m.Progress, "installing %s …\n", strings.Join(absent, ", "))
	install := func() error {
		return run(ctx, "env", append([]string{"DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "--yes", "--no-install-recommends"}, absent...)...)
	}
	first := install()
	if first == nil {
		return nil
	}
	// The package lists may be old, or missing as on a fresh image.
	fmt.Fprintln(m.Progress, "updating the package lists …")
	if err := run(ctx, "apt-get", "update"); err != nil {
		return errors.Join(first, err)
	}
	return install()
}
