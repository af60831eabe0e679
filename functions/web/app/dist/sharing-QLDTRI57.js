import{A as o,B as r,C as m,D as p}from"/app/chunk-LTDRNXVA.js";import"/app/chunk-CVFUNO64.js";export{m as LinksScreen,p as downloadZip,r as openFileRequest,o as openShare};
