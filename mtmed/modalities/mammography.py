"""X-ray images of one breast, digital or digitised film."""

DICOM = ("MG",)
# FB is INbreast's, ML and LM true laterals; the others are PS3.16 CID 4014 as codes of ViewPosition
VIEWS = ("CC", "MLO", "ML", "LM", "LMO", "XCCL", "XCCM", "FB", "SIO", "ISO")
