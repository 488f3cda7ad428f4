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
		resources.CPULimitUnset(),
		resources.EphemeralStorageUnset(),
		resources.RequestAboveLimit(),
		resources.ExtendedResourceMismatch(),
		resources.MemoryNearLimit(),
		resources.OOMKilled(),
		resources.RequestOversized(),
		resources.RequestUndersized(),
		resources.QoSBestEffort(),
		resources.HPAMissing(),
		resources.HPATargetMissing(),
		resources.HPAUnableToScale(),
		resources.HPAAtMax(),
		resources.HPAWithoutRequests(),
		resources.HPAFightsReplicas(),
		resources.HPAMinOne(),
		resources.NodeOvercommitted(),
		resources.NodePodsFull(),
		resources.CapacityNMinusOne(),

		// Security
		security.NetworkPolicyMissing(),
		security.PodNotIsolated(),
		security.NetworkPolicyAllowsAll(),
		security.NetworkPolicySelectsNothing(),
		security.NetworkPolicyUnenforced(),
		security.PodSecurityLabelUnset(),
		security.PodSecurityLevelLoose(),
		security.PodSecurityViolation(),
		security.PSSBaseline(),
		security.PSSRestricted(),
		security.RunAsRoot(),
		security.RootFilesystemWritable(),
		security.HostPathSensitive(),
		security.ImageTagMutable(),
		security.ImageDigestUnpinned(),
		security.ServiceAccountDefault(),
		security.TokenAutomounted(),
		security.RBACClusterAdmin(),
		security.RBACWildcard(),
		security.RBACEscalation(),
		security.RBACReadsSecrets(),
		security.RBACAnonymous(),
		security.RBACDangling(),
		security.SecretInEnv(),
		security.SecretInConfigMap(),
		security.SecretsEncryptionOff(),
		security.AuditLogOff(),
		security.AnonymousAuthOn(),
		security.WebhookFailClosedRisk(),
		security.WebhookNoEndpoints(),
		security.WebhookSlow(),

		// Monitoring and observability
		observability.MetricsAPIMissing(),
		observability.NodeUtilisationHigh(),
		observability.RestartLoop(),
		observability.VolumeUsageHigh(),
		observability.APIServerLatencyHigh(),
		observability.CertificateExpiring(),

		// High availability
		availability.SingleReplica(),
		availability.ReplicasInOneZone(),
		availability.ReplicasOnOneNode(),
		availability.SpreadUnset(),
		availability.SpreadDead(),
		availability.ZoneLabelDeprecated(),
		availability.ClusterSingleZone(),
		availability.ControlPlaneSingle(),
		availability.EtcdEvenMembers(),
		availability.PDBMissing(),
		availability.PDBBlocksDrain(),
		availability.PDBOverlaps(),
		availability.PDBSelectsNothing(),
		availability.PDBUnhealthyPolicy(),
		availability.ReadinessProbeMissing(),
		availability.LivenessEqualsReadiness(),
		availability.ProbePortWrong(),
		availability.SlowStartWithoutStartupProbe(),
		availability.RolloutDropsAll(),
		availability.RecreateServed(),
		availability.RolloutStuck(),
		availability.WorkloadUnavailable(),
		availability.PodPending(),
		availability.PodImageError(),
		availability.PodStuckTerminating(),
		availability.PodEvictedOften(),
		availability.NodeNotReady(),
		availability.NodePressure(),
		availability.NodeCordonedLong(),
		availability.VolumeZonePinned(),
		availability.GracefulShutdownMissing(),
		availability.GracePeriodZero(),
		availability.GraceBelowPreStop(),
		availability.GraceExcessive(),
		availability.ServiceNoEndpoints(),
		availability.IngressBackendMissing(),
		availability.GatewayRouteUnaccepted(),

		// Backup and recovery
		recovery.EtcdBackupMissing(),
		recovery.EtcdNearQuota(),

		// Common pitfalls
		pitfalls.DefaultNamespaceUsed(),
		pitfalls.ResourceQuotaMissing(),
		pitfalls.LimitRangeMissing(),
		pitfalls.QuotaNearlyFull(),
		pitfalls.VersionEndOfLife(),
		pitfalls.VersionSkew(),
		pitfalls.ChaosUntested(),

		// Operational excellence
		operations.GitOpsMissing(),
		operations.GitOpsOutOfSync(),
		operations.GitOpsSuspended(),
		operations.GitOpsUnmanaged(),
		operations.NodeUnpatched(),
		operations.CertificateRotationOff(),
		operations.DeprecatedAPI(),
		operations.APIServiceUnavailable(),
		operations.NamespaceStuck(),
		operations.CRDStoredVersionStale(),
		operations.UnusedConfigMap(),
		operations.UnusedSecret(),
		operations.UnusedPVC(),
		operations.PVReleased(),
		operations.UnusedServiceAccount(),
		operations.UnusedRole(),
		operations.JobFinishedForever(),
		operations.WorkloadAtZero(),
		operations.ReplicaSetLeftover(),
	}
}
