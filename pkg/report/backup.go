package report

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// EtcdBackup is the result of `kubectl prod backup-etcd`, and the manifest that
// is kept beside each snapshot. It holds no credential and no object's content.
type EtcdBackup struct {
	metav1.TypeMeta `json:",inline"`

	// Time is when the snapshot was taken; Tool the version that took it.
	Time metav1.Time `json:"time"`
	Tool string      `json:"tool,omitempty"`
	// Destination is the directory or URL it was kept in, without credentials;
	// Name the object's name there.
	Destination string     `json:"destination"`
	Name        string     `json:"name"`
	Source      EtcdSource `json:"source"`
	// Snapshot is the plain snapshot, Stored what lies at the destination.
	Snapshot EtcdSnapshot `json:"snapshot"`
	Stored   StoredObject `json:"stored"`
	Proof    EtcdProof    `json:"proof"`
	// Contents were read from the restored snapshot; nil when that was not tried.
	Contents *EtcdContents `json:"contents,omitempty"`
	// Transfer is how the snapshot came here.
	Transfer Transfer `json:"transfer"`
	// Warnings tell what is in the way of the next backup or of a restore.
	Warnings []string `json:"warnings,omitempty"`
	// Pruned are the names of older backups that were removed afterwards.
	Pruned []string `json:"pruned,omitempty"`
}

// EtcdSource is where a snapshot came from: what a restore needs to know when
// the cluster can no longer be asked.
type EtcdSource struct {
	Context string `json:"context,omitempty"`
	Server  string `json:"server,omitempty"`
	// ClusterUID is the UID of the namespace kube-system, as the snapshot holds it.
	ClusterUID string `json:"clusterUID,omitempty"`
	// Distribution is what the cluster was made with: kubeadm, kind, K3s, …
	Distribution      string `json:"distribution,omitempty"`
	KubernetesVersion string `json:"kubernetesVersion,omitempty"`
	EtcdVersion       string `json:"etcdVersion,omitempty"`
	// EtcdClusterID is etcd's own cluster ID, in hexadecimal.
	EtcdClusterID string `json:"etcdClusterID,omitempty"`
	// Member is the name of the member that was asked, Way how: "helper pod" or
	// "endpoint".
	Member string `json:"member,omitempty"`
	Way    string `json:"way,omitempty"`
	// DBSize, DBInUse and Quota are of that member, in bytes; Quota is 0 where
	// etcd does not tell it (before 3.6) and no flag does.
	DBSize  int64 `json:"dbSize,omitempty"`
	DBInUse int64 `json:"dbInUse,omitempty"`
	Quota   int64 `json:"quota,omitempty"`
	// Alarms are etcd's own: NOSPACE, CORRUPT.
	Alarms  []string     `json:"alarms,omitempty"`
	Members []EtcdMember `json:"members,omitempty"`
	// Layout is how its static pod is laid out on the nodes; nil where etcd does
	// not run as a pod.
	Layout *EtcdLayout `json:"layout,omitempty"`
}

// EtcdMember is a member of the etcd cluster.
type EtcdMember struct {
	Name       string   `json:"name"`
	ID         string   `json:"id,omitempty"`
	Node       string   `json:"node,omitempty"`
	PeerURLs   []string `json:"peerURLs,omitempty"`
	ClientURLs []string `json:"clientURLs,omitempty"`
	Leader     bool     `json:"leader,omitempty"`
	Learner    bool     `json:"learner,omitempty"`
	// Error says why the member is not healthy.
	Error string `json:"error,omitempty"`
}

// EtcdLayout are the image, paths and flags of an etcd static pod.
type EtcdLayout struct {
	Image   string `json:"image,omitempty"`
	DataDir string `json:"dataDir,omitempty"`
	// CA, Cert and Key are paths on the node, Names are no secret.
	CA           string `json:"ca,omitempty"`
	Cert         string `json:"cert,omitempty"`
	Key          string `json:"key,omitempty"`
	ClusterToken string `json:"clusterToken,omitempty"`
	// EncryptionConfig is the path that the API servers were started with; "" for
	// none.
	EncryptionConfig string `json:"encryptionConfig,omitempty"`
}

// EtcdSnapshot is what a plain snapshot file is.
type EtcdSnapshot struct {
	// Size is in bytes, the checksum at the end included; SHA256 is of all bytes.
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	// Revision is the latest in the file, Keys how many live keys it has.
	Revision int64 `json:"revision,omitempty"`
	Keys     int   `json:"keys,omitempty"`
	// StorageVersion is empty before etcd 3.6.
	StorageVersion string `json:"storageVersion,omitempty"`
	// HashKV is etcd's hash of all keys at HashRevision since CompactRevision.
	HashKV          uint32 `json:"hashKV,omitempty"`
	HashRevision    int64  `json:"hashRevision,omitempty"`
	CompactRevision int64  `json:"compactRevision,omitempty"`
}

// StoredObject is what lies at the destination.
type StoredObject struct {
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	// Compression is "zstd" or empty, Encryption "age" or empty.
	Compression string `json:"compression,omitempty"`
	Encryption  string `json:"encryption,omitempty"`
}

// Verdict is what was found about a snapshot.
type Verdict string

// The verdicts. Only Proven is good.
const (
	// Proven: every check of the depth that was asked for passed.
	Proven Verdict = "proven"
	// Unproven: nothing is known to be wrong, and not all could be checked.
	Unproven Verdict = "unproven"
	// Empty, Truncated, Damaged: the bytes are not those that etcd sent.
	Empty     Verdict = "empty"
	Truncated Verdict = "truncated"
	Damaged   Verdict = "damaged"
	// NotASnapshot: some other kind of file.
	NotASnapshot Verdict = "not a snapshot"
	// Inconsistent: the bytes are as sent, and the database in them is broken.
	Inconsistent Verdict = "inconsistent"
	// NotRestorable: etcd does not start from it.
	NotRestorable Verdict = "not restorable"
	// NotKubernetes: a sound snapshot, without a Kubernetes cluster in it.
	NotKubernetes Verdict = "not Kubernetes"
	// Differs: restorable, and not what the live cluster held at that revision.
	Differs Verdict = "differs from the cluster"
)

// The states of a Check.
const (
	CheckPassed        = "passed"
	CheckFailed        = "failed"
	CheckNotComparable = "not comparable"
	CheckNotChecked    = "not checked"
)

// EtcdProof is what was proven about a snapshot.
type EtcdProof struct {
	Verdict Verdict `json:"verdict"`
	// Reason says in one sentence why it is not proven.
	Reason string `json:"reason,omitempty"`
	// Depth is how deep it was looked: integrity, consistency or restore.
	Depth string      `json:"depth"`
	Time  metav1.Time `json:"time"`
	// Checks are in the order in which they were made.
	Checks []EtcdCheck `json:"checks"`
}

// EtcdCheck is one check of a proof, with the numbers that show it.
type EtcdCheck struct {
	Name   string `json:"name"`
	State  string `json:"state"`
	Detail string `json:"detail,omitempty"`
}

// EtcdContents are what a restored snapshot holds.
type EtcdContents struct {
	// ClusterUID is the UID of the namespace kube-system; Prefix the API server's
	// --etcd-prefix.
	ClusterUID string `json:"clusterUID,omitempty"`
	Prefix     string `json:"prefix,omitempty"`
	// Objects counts all keys below the prefix, Decoded those that were read in
	// full as a sample.
	Objects   int            `json:"objects"`
	Decoded   int            `json:"decoded"`
	Resources []EtcdResource `json:"resources"`
	// Encrypted are the keys of encryption at rest that the data needs.
	Encrypted []EtcdEncryption `json:"encrypted,omitempty"`
	// Kubeadm tells whether the ConfigMap kubeadm-config is among them.
	Kubeadm bool `json:"kubeadm,omitempty"`
}

// EtcdResource counts the objects of a resource.
type EtcdResource struct {
	// Resource is its name in etcd: "pods", "services/specs", "batch.example.com/jobs".
	Resource string `json:"resource"`
	Count    int    `json:"count"`
	// Live is what the API server counted at the same revision; nil when it was
	// not asked or could not tell.
	Live *int `json:"live,omitempty"`
}

// EtcdEncryption is a key of encryption at rest that values were written with.
type EtcdEncryption struct {
	// Provider is aescbc, aesgcm, secretbox or kms, Key the key's name, or the
	// KMS plugin's.
	Provider string `json:"provider"`
	Key      string `json:"key"`
	Objects  int    `json:"objects"`
}

// Transfer is how many bytes came how fast.
type Transfer struct {
	Bytes   int64   `json:"bytes"`
	Seconds float64 `json:"seconds"`
	Retries int     `json:"retries,omitempty"`
}

// EtcdVerification is the result of `kubectl prod backup-etcd verify`.
type EtcdVerification struct {
	metav1.TypeMeta `json:",inline"`
	// File is the path or URL that was looked at, without credentials.
	File     string        `json:"file"`
	Snapshot EtcdSnapshot  `json:"snapshot"`
	Proof    EtcdProof     `json:"proof"`
	Contents *EtcdContents `json:"contents,omitempty"`
	// Stored and Source are told where a manifest lies beside the file, or it is
	// compressed or encrypted.
	Stored *StoredObject `json:"stored,omitempty"`
	Source *EtcdSource   `json:"source,omitempty"`
}

// EtcdBackups is the result of `kubectl prod backup-etcd list` and `prune`.
type EtcdBackups struct {
	metav1.TypeMeta `json:",inline"`
	Destination     string `json:"destination"`
	// Items are newest first.
	Items []EtcdBackupItem `json:"items"`
}

// EtcdBackupItem is one backup at a destination.
type EtcdBackupItem struct {
	Name    string      `json:"name"`
	Time    metav1.Time `json:"time"`
	Verdict Verdict     `json:"verdict"`
	Depth   string      `json:"depth,omitempty"`
	// Size is of what is stored, in bytes.
	Size       int64  `json:"size"`
	ClusterUID string `json:"clusterUID,omitempty"`
	Context    string `json:"context,omitempty"`
	Version    string `json:"kubernetesVersion,omitempty"`
	Revision   int64  `json:"revision,omitempty"`
	Objects    int    `json:"objects,omitempty"`
	// Compression, Encryption are of what is stored.
	Compression string `json:"compression,omitempty"`
	Encryption  string `json:"encryption,omitempty"`
	// Problem is what is wrong at the destination: a manifest without its
	// snapshot, another size than written.
	Problem string `json:"problem,omitempty"`
	// Fate is what pruning does with it: "keep" or "remove"; Why says why.
	Fate string `json:"fate,omitempty"`
	Why  string `json:"why,omitempty"`
}

// RestorePlan is the result of `kubectl prod backup-etcd restore-plan`.
type RestorePlan struct {
	metav1.TypeMeta `json:",inline"`
	File            string         `json:"file"`
	Source          EtcdSource     `json:"source"`
	Verdict         Verdict        `json:"verdict,omitempty"`
	Steps           []RestoreStep  `json:"steps"`
	Lacks           []RestoreLacks `json:"lacks"`
	Warnings        []string       `json:"warnings,omitempty"`
}

// RestoreStep is one step, in order.
type RestoreStep struct {
	Title string `json:"title"`
	// Where says on which machine; Commands are complete.
	Where    string   `json:"where"`
	Commands []string `json:"commands"`
	Note     string   `json:"note,omitempty"`
}

// RestoreLacks is something that a restore needs and the snapshot lacks.
type RestoreLacks struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// DeepCopyObject makes an EtcdBackup printable by kubectl's printers.
func (b *EtcdBackup) DeepCopyObject() runtime.Object { clone := *b; return &clone }

// DeepCopyObject makes an EtcdVerification printable by kubectl's printers.
func (v *EtcdVerification) DeepCopyObject() runtime.Object { clone := *v; return &clone }

// DeepCopyObject makes EtcdBackups printable by kubectl's printers.
func (b *EtcdBackups) DeepCopyObject() runtime.Object { clone := *b; return &clone }

// DeepCopyObject makes a RestorePlan printable by kubectl's printers.
func (p *RestorePlan) DeepCopyObject() runtime.Object { clone := *p; return &clone }
