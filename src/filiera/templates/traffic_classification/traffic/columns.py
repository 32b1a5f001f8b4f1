"""Names of the columns, by what they hold."""

TARGET = "attack"
ATTACK, NORMAL = "attack", "normal"
KIND = "kind"
"""Which attack it is, or "normal": to split and to weigh rows by, never a feature."""

PROTOCOLS = ("tcp", "udp", "icmp")
STATES = ("OTH", "REJ", "RSTO", "RSTOS0", "RSTR", "S0", "S1", "S2", "S3", "SF", "SH")

TEXTS = ("protocol_type", "service", "flag")
FLAGS = ("land", "logged_in", "root_shell", "is_host_login", "is_guest_login")
COUNTS = (
    "duration",
    "src_bytes",
    "dst_bytes",
    "wrong_fragment",
    "urgent",
    "hot",
    "num_failed_logins",
    "num_compromised",
    "su_attempted",
    "num_root",
    "num_file_creations",
    "num_shells",
    "num_access_files",
    "count",
    "srv_count",
    "dst_host_count",
    "dst_host_srv_count",
)
RATES = (
    "serror_rate",
    "srv_serror_rate",
    "rerror_rate",
    "srv_rerror_rate",
    "same_srv_rate",
    "diff_srv_rate",
    "srv_diff_host_rate",
    "dst_host_same_srv_rate",
    "dst_host_diff_srv_rate",
    "dst_host_same_src_port_rate",
    "dst_host_srv_diff_host_rate",
    "dst_host_serror_rate",
    "dst_host_srv_serror_rate",
    "dst_host_rerror_rate",
    "dst_host_srv_rerror_rate",
)
FEATURES = TEXTS + FLAGS + COUNTS + RATES
