#include "lanes_portable.h"
#include "blake3_lanes.h"
#include "encoder_lanes.h"
#include "loops.h"
