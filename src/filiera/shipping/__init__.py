"""What a service is shipped as: texts for container engines, Kubernetes, systemd and Nuclio, made from plain values."""
