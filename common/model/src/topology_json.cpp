#include "mpitrain/model/topology.hpp"
