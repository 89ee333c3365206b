"""A release: the packaged chart, its SBOM and its signature, and the way to an OCI registry.

python -m scripts.release                                        # to dist/
python -m scripts.release --to oci://registry.example.com/charts # and push it
"""
