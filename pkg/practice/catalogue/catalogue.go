// Package catalogue lists every practice.
package catalogue

import (
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/availability"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/observability"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/operations"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/pitfalls"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/recovery"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/resources"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/security"
)

// All are the practices, in the order of the guide.
func All() []practice.Practice {
	return []practice.Practice{
		// Resource management
		resources.CPURequestUnset(),
		resources.MemoryRequestUnset(),
		resources.MemoryLimitUnset(),
		resources.HPATargetMissing(),
		resources.HPAMissing(),

		// Security
		security.NetworkPolicyMissing(),
		security.PodSecurityLabelUnset(),
		security.PSSBaseline(),
		security.PSSRestricted(),
		security.RunAsRoot(),
		security.ImageTagMutable(),
		security.ServiceAccountDefault(),

		// Monitoring and observability
		observability.MetricsAPIMissing(),
		observability.NodeUtilisationHigh(),
		observability.RestartLoop(),
		observability.CertificateExpiring(),

		// High availability
		availability.SingleReplica(),
		availability.SpreadUnset(),
		availability.ZoneLabelDeprecated(),
		availability.PDBMissing(),
		availability.PDBBlocksDrain(),
		availability.ReadinessProbeMissing(),

		// Backup and recovery
		recovery.EtcdBackupMissing(),

		// Common pitfalls
		pitfalls.DefaultNamespaceUsed(),
		pitfalls.ResourceQuotaMissing(),

		// Operational excellence
		operations.UnusedConfigMap(),
	}
}
