package doctor

import (
	"io"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/role"
)

// printRBAC prints the role that the selected practices take, and no more. It
// asks no cluster.
func (o *Options) printRBAC(w io.Writer) error {
	return role.Print(w, role.Cluster("kubectl-prod-doctor", cluster.Rules(o.needs())))
}
