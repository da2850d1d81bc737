"""What a study may claim and hold at most. Every limit is checked before memory or time is spent on what it bounds."""

from __future__ import annotations

# A folder or an archive: two whole trauma examinations with all their reconstructions stay below.
MAX_FILES = 5_000
MAX_FOLDER_DEPTH = 32
MAX_STUDY_BYTES = 2_000_000_000

# The volume as held in memory: 512 x 512 x 839 slices as int16, half as many as float32.
MAX_VOLUME_BYTES = 440_000_000
MAX_AXIS = 4_096
MAX_EXTENT_MM = 2_500.0

# One DICOM header. 839 frames of an Enhanced CT with ten groups each need 0.7 MB in 110,000 reads.
MAX_HEADER_BYTES = 16_000_000
MAX_HEADER_READS = 300_000
MAX_ITEMS = 60_000
# The text header of NRRD and MetaImage, and what may lie between a NIfTI header and its voxels.
MAX_TEXT_HEADER_BYTES = 1_000_000
MAX_VOXEL_OFFSET = 16_000_000

# Images shrink to a half or a tenth, empty masks to a hundredth. Small files may be as regular as they like.
MAX_RATIO = 200
RATIO_FREE_BYTES = 50_000_000
MAX_ARCHIVE_DIRECTORY_BYTES = 2_000_000
# Bytes behind the voxels that are taken for padding; more, and the header describes something else.
MAX_EXCESS_BYTES = 65_536

# The decoder's own process.
DECODER_MEMORY_BYTES = 700_000_000
DECODER_SECONDS, DECODER_SECONDS_PER_SLICE = 20.0, 0.25
